"""A virtual environment of a test's own, which has all that the tests' own environment has."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import prefect
from prefect.dependencies.uv import uv_program


class Venv:
    """Makes the environment in a directory; what is installed into it goes with that."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        command = [uv_program(), "venv", "-q", "--python", sys.executable, str(directory)]
        subprocess.run(command, check=True)
        self.python = directory / "bin" / "python"
        (site,) = (directory / "lib").glob("python*/site-packages")
        self.site = site
        shared = [sysconfig.get_path("purelib"), str(Path(prefect.__file__).parents[1])]
        lines = [f"import site; site.addsitedir({shared[0]!r})", shared[1]]
        (site / "of_the_tests.pth").write_text("".join(f"{line}\n" for line in lines))

    def install(self, *arguments: object) -> None:
        """Install with uv, without what is needed in turn."""
        command = [uv_program(), "pip", "install", "-q", "--no-deps", "--python", str(self.python)]
        subprocess.run([*command, *map(str, arguments)], check=True)

    def __call__(self, *arguments: object, status: int = 0, cwd: Path, **environment: str):
        """Run its Python; check the exit status; return what it printed to (out, err)."""
        done = subprocess.run(
            [str(self.python), *map(str, arguments)], cwd=cwd, env=os.environ | environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done.stdout, done.stderr

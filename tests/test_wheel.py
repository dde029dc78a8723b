"""The wheel, which is what people install: built from this checkout, and used where nothing else is."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import uv
from base_making import layout
from validation import validate

import prefect
from prefect.oci.archives.archive import read

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "prefect"
KINDS = {".py", ".typed", ".html", ".css", ".js"}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
IMPORT_EVERYTHING = """
import pathlib, pkgutil, sys, prefect
from prefect.errors import UnsupportedError
assert pathlib.Path(prefect.__file__).is_relative_to(sys.prefix), prefect.__file__
for module in pkgutil.walk_packages(prefect.__path__, "prefect."):
    if not module.name.endswith("__main__"):
        try:
            __import__(module.name)
        except UnsupportedError:  # of classic Prefect, and not here
            pass
        except ModuleNotFoundError as error:  # what is imported where that is there
            if not (error.name == "distributed" and ".executors.dask." in module.name):
                raise
"""


def run(*command, cwd=None, **environment) -> str:
    """Run a program as somebody would who knows nothing of this checkout; return what it prints."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PREFECT", "VIRTUAL"))
    }
    done = subprocess.run(
        command, cwd=cwd, env=kept | environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A directory with the source distribution, and the wheel that was built from it."""
    directory = tmp_path_factory.mktemp("dist")
    run(
        uv.find_uv_bin(), "build", "--quiet", "--no-build-isolation", "--python", sys.executable,
        "--out-dir", directory, ROOT,
    )  # fmt: skip
    return directory


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The programs of an environment that has the wheel, what it asks for, and nothing else."""
    environment = tmp_path_factory.mktemp("empty") / "venv"
    run(uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, environment)
    (wheel,) = built.glob("*.whl")
    run(
        uv.find_uv_bin(), "pip", "install", "--quiet", "--python", environment / "bin" / "python",
        "--constraint", ROOT / "requirements" / "dev.txt", wheel,
    )  # fmt: skip
    return environment / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(built):
    """Every module, py.typed and the parts of pages, byte for byte, beside what describes the wheel."""
    (path,) = built.glob("*.whl")
    wheel = zipfile.ZipFile(path)
    about = f"prefect-{prefect.__version__}.dist-info"
    files = [path for path in PACKAGE.rglob("*") if path.suffix in KINDS]
    expected = {str(path.relative_to(PACKAGE.parent)): path.read_bytes() for path in files}
    assert "prefect/py.typed" in expected
    assert set(wheel.namelist()) == {*expected, *(f"{about}/{name}" for name in METADATA)}
    assert {name: wheel.read(name) for name in expected} == expected
    assert path.name == f"prefect-{prefect.__version__}-py3-none-any.whl"


def test_the_source_distribution_holds_what_is_kept(built):
    """What builds and explains the package, and nothing that was made in the checkout."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/prefect/py.typed"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops <= {
        ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md",
        "docs", "examples", "pyproject.toml", "src", "tests",
    }  # fmt: skip


def test_every_module_needs_nothing_but_what_the_wheel_asks_for(installed, tmp_path):
    """All of them can be imported, though the extra `dask` is not there."""
    run(installed / "python", "-W", "error", "-c", IMPORT_EVERYTHING, cwd=tmp_path)


def test_the_installed_command_packages_a_flow_and_runs_it(installed, tmp_path):
    """Sealed, described and run; and put together as an image, which is whole."""

    def command(*arguments, **environment):
        return run(installed / "prefect", *arguments, cwd=tmp_path, **environment)

    (tmp_path / "hello.py").write_bytes((ROOT / "examples" / "hello.py").read_bytes())
    assert prefect.__version__ in command("--version")
    command("keygen", "flow.key")
    command("build", "hello.py", "-o", "hello.flow", "--key-file", "flow.key")
    (tmp_path / "hello.py").rename(tmp_path / "gone.py")
    described = json.loads(command("info", "hello.flow", "--key-file", "flow.key", "--json"))
    assert described["flow"]["name"] == "hello"
    said = command("run", "hello.flow", "--key-file", "flow.key", "-p", "name=wheel")
    assert "Hello, wheel!" in said

    layout(tmp_path / "base")
    (tmp_path / "gone.py").rename(tmp_path / "hello.py")
    command(
        "build", "hello.py", "--image", "./base", "-r", "cloudpickle", "--export", "hello.tar",
        DOCKER_HOST="unix:///nowhere.sock",
    )  # fmt: skip
    validate(read(tmp_path / "hello.tar"))
    assert json.loads(command("info", "./hello.tar", "--json"))["flow"]["name"] == "hello"

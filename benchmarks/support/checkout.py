"""The wheel of this checkout, installed into an environment of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from image_rivals import PATH

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


class Checkout:
    """A directory that commands run in, with an environment that has the wheel."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bin = place / "venv" / "bin"
        self.uv = Path(sys.executable).with_name("uv")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PREFECT_E"))},
            "PATH": f"{self.bin}:{PATH}", "DOCKER_BUILDKIT": "1", "COLUMNS": "80",
            "XDG_CACHE_HOME": str(place / "cache"),
        }  # fmt: skip

    def call(self, line: str) -> None:
        """Run a program; it fails if that does."""
        done = subprocess.run(
            shlex.split(line), cwd=self.place, env=self.environment, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{line} failed:\n{done.stdout}{done.stderr}")

    def program(self, *lines: str) -> Callable[[], object]:
        """Return what runs these programs one after the other."""
        return lambda: [self.call(line) for line in lines]

    def install(self) -> None:
        """Install the wheel of this checkout, with the versions that development has pinned."""
        uv, python = self.uv, sys.executable
        self.call(
            f"{uv} build -q --wheel --no-build-isolation --python {python} --out-dir dist {ROOT}"
        )
        wheel = next((self.place / "dist").glob("*.whl"))
        self.call(f"{uv} venv -q --python {python} venv")
        pins = ROOT / "requirements" / "dev.txt"
        self.call(f"{uv} pip install -q --compile-bytecode --python venv -c {pins} {wheel} pandas")

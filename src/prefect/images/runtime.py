"""The files of this package that an image gets: what runs inside of it, and nothing that makes it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

# All that runs inside a place. The import contract "Inside and outside are apart" has the same
# list: nothing here reaches what makes images, so that a change there changes no image's digest.
INSIDE = (
    "configuration",
    "core",
    "direct_urls",
    "engine",
    "environments",
    "errors",
    "executors",
    "files",
    "frozen",
    "installed",
    "keeping",
    "lazy",
    "patterns",
    "payload",
    "printable",
    "pylock",
    "pyz",
    "records",
    "running",
    "schedules",
    "sealed",
    "sealing",
    "secrets",
    "store",
    "streams",
    "tasks",
    "triggers",
    "unsupported",
    "user_cache",
    "utilities",
    "version",
    "worker",
)


@cache
def runtime_files() -> dict[str, bytes]:
    """Return the files of this package that run inside an image, by path below site-packages."""
    from importlib import resources  # noqa: PLC0415 - slow to import, and a run reads nothing

    files: dict[str, bytes] = {}

    def collect(directory: Traversable, path: str) -> None:
        for entry in directory.iterdir():
            if entry.is_dir():
                if entry.name != "__pycache__":
                    collect(entry, f"{path}/{entry.name}")
            elif entry.name.endswith(".py"):
                files[f"{path}/{entry.name}"] = entry.read_bytes()

    package = resources.files("prefect")
    files["prefect/__init__.py"] = package.joinpath("__init__.py").read_bytes()
    for name in INSIDE:
        module = package.joinpath(f"{name}.py")
        if module.is_file():
            files[f"prefect/{name}.py"] = module.read_bytes()
        else:
            collect(package.joinpath(name), f"prefect/{name}")
    return dict(sorted(files.items()))

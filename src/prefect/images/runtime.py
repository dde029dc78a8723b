"""The files of this package that an image gets: what runs inside of it, and nothing that makes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120

# All that runs inside a place. The import contract "Inside and outside are apart" has the same
# list: nothing here reaches what makes images, so that a change there changes no image's digest.
INSIDE = (
    "configuration",
    "core",
    "direct_urls",
    "engine",
    "environments",
    "errors",
    "exceptions",
    "executors",
    "files",
    "frozen",
    "installed",
    "keeping",
    "lazy",
    "opening",
    "patterns",
    "payload",
    "printable",
    "progress",
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
    "telemetry",
    "triggers",
    "unsupported",
    "user_cache",
    "utilities",
    "version",
    "worker",
)


def runtime_sources() -> Iterator[tuple[str, str]]:
    """Yield the files of this package that run inside an image: each path below site-packages, and where it is."""
    yield "prefect/__init__.py", f"{_PACKAGE}/__init__.py"
    for name in INSIDE:
        if not os.path.isdir(f"{_PACKAGE}/{name}"):  # noqa: PTH112 - a hundred of them, in each run
            yield f"prefect/{name}.py", f"{_PACKAGE}/{name}.py"
        for directory, below, files in os.walk(f"{_PACKAGE}/{name}"):
            below[:] = [each for each in below if each != "__pycache__"]
            path = f"prefect{directory.removeprefix(_PACKAGE)}"
            yield from ((f"{path}/{x}", f"{directory}/{x}") for x in files if x.endswith(".py"))


def stamp(path: str) -> list[str | int]:
    """Return what changes when a file does, or the path alone of one within an archive."""
    try:
        status = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return [path]
    return [path, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class RuntimeFiles(Mapping[str, bytes]):
    """The files that `runtime_sources` names, by path below site-packages: read when one is first wanted."""

    @cached_property
    def _files(self) -> dict[str, bytes]:
        return runtime_files()

    def __getitem__(self, path: str) -> bytes:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def stamps(self) -> list[list[str | int]]:
        """Return what changes whenever one of them may have: that is told without reading them."""
        return [stamp(path) for _, path in sorted(runtime_sources())]


@cache
def runtime_files() -> dict[str, bytes]:
    """Return the files of this package that run inside an image, by path below site-packages."""
    found = {}
    for name, path in sorted(runtime_sources()):
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            found[name] = file.read()
    return found

"""This package and what it needs to run a flow, as a directory that any Python of a series can start.

In it stands the frame of a virtual environment, without any packages: that Python can start the worker before
it is known for which environment, which the worker then enters.

It is no part of any environment: another release of this package has another directory, and the same
environments.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.images.runtime import runtime_files, runtime_sources, stamp
from prefect.installed import distribution_directories
from prefect.oci.cache.directories import hold, place_of
from prefect.oci.cache.facts import recall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.oci.cache.directories import HeldDirectory
    from prefect.oci.cache.store import Store

_FORMAT = 2  # counts up when the same files give another directory
_MAIN = b"""import sys

from prefect.worker.__main__ import main

sys.exit(main())
"""
_FRAME = "frame"
_SETTINGS, _CLOSED = f"{_FRAME}/pyvenv.cfg", "include-system-site-packages = false\n"


def held_runtime(
    root: Path | None, series: str, interpreter: Path, *, bare: bool = False
) -> HeldDirectory | None:
    """Hold what `make_runtime` has made, if it has, without reading what it is made of.

    Args:
        root: directory of the cache; None where there is none.
        series, interpreter, bare: as there.
    """
    key = None if root is None else recall(root, _known_by(series, interpreter, bare=bare))
    return hold(place_of(root, key)) if root is not None and isinstance(key, str) else None


def make_runtime(
    store: Store, series: str, interpreter: Path, *, bare: bool = False
) -> HeldDirectory:
    """Return a directory of which `python DIRECTORY ARGUMENTS...` runs the worker.

    Args:
        store: keeps it.
        series: such as "3.12".
        interpreter: program of a Python of the series, in no environment, which compiles it.
        bare: leave out the cloudpickle that is installed here, because there is another one.

    Raises:
        DiskFullError: the disk is full.
        OSError: the store cannot be written.
    """
    known_by = _known_by(series, interpreter, bare=bare)
    files = {**runtime_files(), "__main__.py": _MAIN}
    files[_SETTINGS] = f"home = {interpreter.parent}\n{_CLOSED}version = {series}\n".encode()
    if not bare:
        files |= _files_of("cloudpickle")
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    listing = json.dumps([_FORMAT, series, str(interpreter), digests], sort_keys=True)
    key = f"runtime {hashlib.sha256(listing.encode()).hexdigest()}"

    def make(directory: Path) -> None:
        for path, data in files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        program = python_of(directory)
        program.parent.mkdir()
        program.symlink_to(interpreter)
        _compile(directory, interpreter)

    held = store.directory(key, make)
    store.remember(known_by, key)
    return held


def python_of(runtime: Path) -> Path:
    """Return the program of the Python of such a directory, which finds no packages."""
    return runtime / _FRAME / "bin" / "python"


def _known_by(series: str, interpreter: Path, *, bare: bool) -> str:
    """Return a key that changes whenever one of the files may have changed."""
    stamps = [stamp(path) for path in _sources(bare=bare)]
    return f"runtime {series} {json.dumps([_FORMAT, str(interpreter), bare, stamps])}"


def _sources(*, bare: bool) -> Iterator[str]:
    yield from sorted(path for _, path in runtime_sources())
    if not bare:
        for name, _, directory in distribution_directories():
            if name == "cloudpickle":
                package = Path(directory).with_name("cloudpickle")
                yield directory
                yield from sorted(str(file) for file in package.glob("*.py"))
                return


def _files_of(name: str) -> dict[str, bytes]:
    from importlib import metadata  # noqa: PLC0415 - slow to import

    distribution = metadata.distribution(name)
    return {
        str(file): Path(str(file.locate())).read_bytes()
        for file in distribution.files or ()
        if ".." not in file.parts and "__pycache__" not in file.parts
    }


def _compile(directory: Path, python: Path) -> None:
    import subprocess  # noqa: PLC0415 - where nothing is made, nothing is compiled

    from prefect.dependencies.uv import child_environment  # noqa: PLC0415 - as above

    command = [str(python), "-I", "-m", "compileall", "-q", str(directory)]
    subprocess.run(  # noqa: S603 - a Python, isolated
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        check=False,  # without bytecode, it is slower
    )

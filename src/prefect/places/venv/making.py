"""An environment put together: uv makes and fills it, and what it filled in is compared with its RECORDs."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.dependencies import records
from prefect.dependencies.uv import (

    UNREACHABLE,
    call,
    is_unreachable,
    refuse_disk,
    source_options,
    uv_environment,
    installing_environment,
    uv_program,
)
from prefect.errors import IndexUnreachableError, PlaceError, RequirementsError
from prefect.installed import normal_name
from prefect.steps import step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prefect.places.venv.contents import Contents

# What uv puts into each environment, for setuptools of long ago; each start of a Python would load it.
_HOOK = ("_virtualenv.pth", "_virtualenv.py")
_VENDOR = "Or build the flow with --vendor (vendor=True), which takes along what it needs."
_UNFIT = ("no wheels with a matching", "no usable wheels", "has no wheels")
_LEFT_BY_UV = frozenset({".lock"})


def make_environment(
    directory: Path,
    contents: Contents,
    interpreter: Path,
    wheels: Path | None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Make a virtual environment that has what a flow needs, compiled; no packages of the system.

    Args:
        directory: of the environment, which is not there.
        contents: what is installed.
        interpreter: program of the Python.
        wheels: directory of the wheels that travelled; None where there are none.
        progress: gets a line now and then.

    Raises:
        PlaceError: the interpreter makes none, or wheels that travelled are not there.
        RequirementsError: a wheel is missing, or malformed, or not the locked one; or a file is not
            what its RECORD says.
        IndexUnreachableError: the index does not answer.
        DiskFullError, SettingError: uv's cache has no space, or cannot be used.
        OSError: the directory has no space.
    """
    _require(contents.brought, wheels)
    count = len(contents.indexed) + len(contents.brought)
    doing = (
        f"Making an environment of Python {contents.python} with {count} "
        f"package{'' if count == 1 else 's'}"
    )
    with step(doing, say=progress):
        _make(directory, contents, interpreter, wheels, progress)


def _make(
    directory: Path,
    contents: Contents,
    interpreter: Path,
    wheels: Path | None,
    progress: Callable[[str], None] | None,
) -> None:
    command = ["venv", "--quiet", "--no-project", "--python", str(interpreter), str(directory)]
    if reason := call([uv_program(), *command], uv_environment()):
        refuse_disk(reason, directory)
        raise PlaceError(f"No environment can be made of {interpreter}:\n{reason}")
    for name in _HOOK:
        for path in directory.glob(f"lib*/python*/site-packages/{name}"):
            path.unlink()
    frame = {path: _state(file) for path, file in _walk(directory)}
    if contents.brought:
        links = ["--no-index", "--find-links", str(wheels), "--no-cache"]
        _install(directory, contents, contents.brought, links, progress)
    if contents.indexed:
        _install(directory, contents, contents.indexed, [], progress)
    _check(directory, frame)


def _require(brought: Sequence[str], wheels: Path | None) -> None:
    """Refuse to go on where the wheels that travelled were left packed."""
    there = {normal_name(path.name.partition("-")[0]) for path in wheels.glob("*.whl")} if wheels else set()
    if {line.partition("==")[0] for line in brought} - there:
        raise PlaceError(
            "The environment of this flow was removed from the cache just when the run began: run it again"
        )


def _install(
    environment: Path,
    contents: Contents,
    lines: Sequence[str],
    options: list[str],
    progress: Callable[[str], None] | None,
) -> None:
    builds = bool(contents.sources) and not options
    variables = installing_environment(builds=builds)
    with tempfile.NamedTemporaryFile("w", dir=environment, suffix=".txt") as lock:
        lock.write("".join(f"{line}\n" for line in lines))
        lock.flush()
        command = [uv_program(), "pip", "install", "--python", str(environment / "bin" / "python")]
        command += ["--no-deps", "--link-mode", "copy", "--compile-bytecode", *options]
        command += ["--require-hashes", "--requirements", lock.name]
        command += source_options(contents.sources if builds else ())
        reason = call(command, variables, progress)
    if reason:
        refuse_disk(reason, environment)
        where = f"What the flow has locked cannot be installed for Python {contents.python} here."
        told = f"uv says:\n{reason.replace(f'{environment}/', '')}"
        if is_unreachable(reason):
            raise IndexUnreachableError(f"{where} {UNREACHABLE} {_VENDOR} {told}")
        raise RequirementsError(" ".join([where, *_fixes(reason), told]))


def _fixes(reason: str) -> Iterator[str]:
    if "ash mismatch" in reason:
        yield (
            "The index has another file than was locked: an altered one, or another index's. Compare where "
            "they come from, or lock and build the flow again."
        )
    elif any(text in reason for text in _UNFIT):
        yield "Build the flow for this place (--for, --python), or with a version that has a wheel for it."
    elif "not found" in reason or "no version" in reason:
        yield f"Name an index that has it (UV_INDEX), or a directory of wheels (UV_FIND_LINKS). {_VENDOR}"


def _check(environment: Path, frame: dict[str, tuple[int, ...]]) -> None:
    """Compare what was installed with what its wheels list: uv's cache may be edited."""
    files = dict(_walk(environment))
    for path, state in frame.items():
        if path not in files or _state(files.pop(path)) != state:
            raise RequirementsError(
                f"A package of the flow's would replace {path} of its environment, which is not a "
                "package's to replace: leave it out"
            )
    owners = records.owners(files)
    listed = Counter(path for paths in owners.values() for path in paths)
    for path in files:
        if path not in listed and path not in _LEFT_BY_UV and not records.stands_beside(path):
            raise RequirementsError(
                f"{records.shown(path)} is in no RECORD of what was installed: {records.cleaning()}"
            )
    for name, paths in owners.items():
        # Of what two list, one has its own, and uv says which to nobody.
        own = {path: told for path, told in paths.items() if listed[path] == 1}
        records.require_recorded(name, own, files)


def _walk(directory: Path) -> Iterator[tuple[str, Path]]:
    for base, directories, files in os.walk(directory):
        directories[:] = [
            name for name in directories if name != "__pycache__" and not os.path.islink(f"{base}/{name}")
        ]
        below = os.path.relpath(base, directory)
        for name in files:
            yield os.path.normpath(os.path.join(below, name)), Path(base, name)


def _state(file: Path) -> tuple[int, ...]:
    status = file.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns

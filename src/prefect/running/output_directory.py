"""The directory for the files that a run makes: made ready by who starts it, named to its tasks."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.running.flow_directory import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT_DIRECTORY = f"{PREFIX}/output"
"""Where containers have it."""

_ROOT = 0


def make_output_directory(path: str | os.PathLike[str]) -> Path:
    """Return a directory of this machine by its absolute path, made with its parents if need be.

    Raises:
        PlaceError: there is something else of that name, or it cannot be made.
    """
    directory = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - links stay
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "there is a file of that name" if directory.is_file() else error.strerror
        raise PlaceError(
            f"The output directory {path} cannot be made: {reason}. Name another with --output"
        ) from error
    return directory


@contextmanager
def output_directory(path: Path | None) -> Iterator[dict[str, Path]]:
    """Yield what `prefect.context` has of a run's output directory: `output_dir`, if there is one.

    What root makes in somebody's directory is that owner's in the end: a container's root is often
    nobody that the caller could be.

    Raises:
        PlaceError: it is not there, or this user cannot write to it.
    """
    if path is None:
        yield {}
        return
    path = path.absolute()
    if not path.is_dir():
        raise PlaceError(f"There is no output directory {path}")
    owner = path.stat()
    if not os.access(path, os.W_OK | os.X_OK):
        raise PlaceError(
            f"The output directory {path} cannot be written by the user {os.geteuid()}, as which the "
            f"flow is to run: have that user own it, or run an image as its owner, with --user {owner.st_uid}"
        )
    roots = set(_of_root(path)) if os.geteuid() == _ROOT != owner.st_uid else None
    try:
        yield {"output_dir": path}
    finally:
        if roots is not None:
            for inode, each in _of_root(path).items():
                if inode not in roots:
                    with suppress(OSError):  # gone by now, or of a file system without owners
                        os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _of_root(directory: Path) -> dict[tuple[int, int], str]:
    """Return what is root's below a directory, by device and inode."""
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            with suppress(OSError):
                status = os.lstat(each := os.path.join(parent, name))  # noqa: PTH118 - many
                if status.st_uid == _ROOT:
                    found[status.st_dev, status.st_ino] = each
    return found

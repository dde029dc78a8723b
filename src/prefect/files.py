"""Writing a file so that it is there complete, or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replacing(path: str | os.PathLike[str], *, mode: int | None = 0o600) -> Iterator[BinaryIO]:
    """Yield a new file beside the path that takes its name once it is complete and on disk.

    A former file of that name stays as it is until then, and its permissions are kept. After an
    error nothing is left behind. Directories on the way are made.

    Args:
        path: the file; through a symbolic link, the one that it means.
        mode: permissions of a file that was not there; None leaves them to the umask.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(path).resolve()
    with _part(target, mode) as (file, part):
        if target.exists():
            os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
        yield file
        file.flush()
        os.fsync(file.fileno())
        part.replace(target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the name itself
    finally:
        os.close(directory)


def create(path: str | os.PathLike[str], content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that was not there, complete or not at all; never over another.

    Args:
        path: the file; directories on the way are made.
        content: all of it.
        mode: its permissions, which it has from the start.

    Raises:
        FileExistsError: something of that name is there.
        OSError: the file cannot be written.
    """
    target = Path(path)
    with _part(target, mode) as (file, part):
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.link(part, target)  # unlike a rename, a link refuses a name that is taken


@contextmanager
def _part(target: Path, mode: int | None) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield an open file beside the target, which is removed if it still has its own name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:200]}.{os.urandom(4).hex()}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = os.open(part, flags, 0o666 if mode is None else mode & 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            if mode is not None:
                os.fchmod(handle, mode)  # whatever the umask
            yield file, part
    finally:
        part.unlink(missing_ok=True)

"""Writing a file so that it is there complete, or not at all; reading a small one, and never a large.

Until it is complete, a file has no name where the file system can do without one, and is gone with
its maker, however that ends. Elsewhere, as all directories do, it has a hidden name, which the next
one who writes there removes: its maker holds a lock on it, which ends with the maker.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import InputTooLargeError
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nobody means more by a lock, a list of requirements or a settings file.
TEXT_BYTES = 16 * 1024 * 1024
HEAD_BYTES = 262
"""How much of a file's beginning tells what it is."""
_PIECE_BYTES = 1024 * 1024
_SUFFIX = ".prefect-part"
_PART = pattern(r"\..*\.[0-9a-f]{16}" + re.escape(_SUFFIX))


def begins_as_archive(head: bytes) -> bool:
    """Tell whether a file that begins so is an image's: a tar archive, or something compressed.

    Args:
        head: its first `HEAD_BYTES`, or all of it.
    """
    return head[257:262] == b"ustar" or head[:2] == b"\x1f\x8b"


def read_small(path: str | os.PathLike[str], most: int = TEXT_BYTES) -> bytes:
    """Return all bytes of a file that is small by its kind.

    Args:
        path: the file, or whatever has this name: a device or a pipe may have no end.
        most: the largest size that is read, in bytes.

    Raises:
        InputTooLargeError: it is larger (an OSError).
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return read_to_end(file, most, os.fspath(path))


def read_small_text(path: str | os.PathLike[str], most: int = TEXT_BYTES) -> str:
    """Return the text of such a file, in UTF-8, with line breaks as Python has them.

    Raises:
        InputTooLargeError: it is larger (an OSError).
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    return io.TextIOWrapper(io.BytesIO(read_small(path, most)), encoding="utf-8").read()


def read_to_end(file: BinaryIO, most: int, name: str) -> bytes:
    """Return the bytes that an open file still has.

    Args:
        file: read from where it stands.
        most: the largest size that is read, in bytes.
        name: what it is called in the error.

    Raises:
        InputTooLargeError: it has more (an OSError).
        OSError: it cannot be read.
    """
    found = bytearray()
    while piece := file.read(min(_PIECE_BYTES, most + 1 - len(found))):
        found += piece
        if len(found) > most:
            limit = f"{most >> 20} MiB" if most >= _PIECE_BYTES else f"{most >> 10} KiB"
            raise InputTooLargeError(
                f"{name} has more than the {limit} that are read of its kind. Is it what is meant?"
            )
    return bytes(found)


@contextmanager
def replacing(path: str | os.PathLike[str], *, mode: int | None = 0o600) -> Iterator[BinaryIO]:
    """Yield a new file that takes the path's name once it is complete and on disk.

    A former file of that name stays as it is until then, and its permissions are kept. After an
    error nothing is left behind. Directories on the way are made.

    Args:
        path: the file; through a symbolic link, the one that it means.
        mode: permissions of a file that was not there; None leaves them to the umask.

    Raises:
        IsADirectoryError: the path is a directory's, as "" is.
        OSError: the file cannot be written.
    """
    target = Path(path).resolve()
    if target.is_dir():  # before there is anything to write, and by the name that it was given
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    with _part(target, mode) as part:
        if target.exists():
            os.fchmod(part.file.fileno(), target.stat().st_mode & 0o777)
        yield part.file
        part.flush()
        if part.path is None:
            named = _name_beside(target)
            part.link(named)
            part.path = named
        part.path.replace(target)
    _flush_directory(target.parent)


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
    with _part(target, mode) as part:
        part.file.write(content)
        part.flush()
        part.link(target)  # unlike a rename, a link refuses a name that is taken


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory that takes the path's name once it is complete.

    Args:
        path: the directory, which is not there or is empty; directories on the way are made.

    Raises:
        OSError: it cannot be made, or the path is another's by then.
    """
    target = path.resolve()
    _prepare(target.parent)
    handle, part = _open_directory(target)
    try:
        yield part
        part.rename(target)  # of a directory that is there, only if it is empty
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(handle)


@contextmanager
def private_directory(name: str) -> Iterator[Path]:
    """Yield a new directory below the one for temporary files, which nobody else may look into.

    It goes with its maker: what a killed one left is removed by the next one.

    Args:
        name: what its own begins with.

    Raises:
        OSError: it cannot be made.
    """
    import tempfile  # noqa: PLC0415 - slow to import, and few need one

    target = Path(tempfile.gettempdir()).resolve() / name
    _prepare(target.parent)
    handle, part = _open_directory(target, 0o700)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(handle)


class _Part:
    """A file on its way: open, locked, and with no name or a hidden one."""

    def __init__(self, file: BinaryIO, path: Path | None) -> None:
        self.file = file
        self.path = path

    def flush(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())

    def link(self, target: Path) -> None:
        """Give it one more name, unless that is taken."""
        if self.path is not None:
            os.link(self.path, target)
            return
        directory = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:  # relative to a directory, as only that call follows the link, which this is
            os.link(f"/proc/self/fd/{self.file.fileno()}", target.name, dst_dir_fd=directory)
        finally:
            os.close(directory)


@contextmanager
def _part(target: Path, mode: int | None) -> Iterator[_Part]:
    """Yield an open file that goes beside the target, and is removed if it still has another name."""
    _prepare(target.parent)
    permissions = 0o666 if mode is None else mode & 0o600
    handle, path = _open_part(target, permissions)
    with os.fdopen(handle, "w+b") as file:
        part = _Part(file, path)
        try:
            if mode is not None:
                os.fchmod(handle, mode)  # whatever the umask
            yield part
        finally:
            if part.path is not None:
                part.path.unlink(missing_ok=True)


def _open_part(target: Path, permissions: int) -> tuple[int, Path | None]:
    flags = os.O_RDWR | os.O_CLOEXEC
    unnamed = getattr(os, "O_TMPFILE", 0)
    if unnamed and os.access("/proc/self/fd", os.X_OK):  # where it could get a name later on
        with suppress(OSError):  # EOPNOTSUPP of some file systems; any other comes again below
            handle = os.open(target.parent, flags | unnamed, permissions)
            fcntl.flock(handle, fcntl.LOCK_EX)
            return handle, None
    while True:
        path = _name_beside(target)
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, permissions)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:  # else somebody took it for abandoned before it was locked
            return handle, path
        os.close(handle)


def _open_directory(target: Path, mode: int = 0o777) -> tuple[int, Path]:
    while True:
        path = _name_beside(target)
        path.mkdir(mode)
        with suppress(FileNotFoundError):  # taken for abandoned before it was even opened
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return handle, path
            os.close(handle)


def _name_beside(target: Path) -> Path:
    return target.with_name(f".{target.name[:200]}.{os.urandom(8).hex()}{_SUFFIX}")


def _prepare(directory: Path) -> None:
    """Make a directory if need be, and remove what dead makers of files left in it."""
    directory.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # a directory that can be written, and not read
        for name in os.listdir(directory):  # noqa: PTH208 - far faster, in large directories
            if name.endswith(_SUFFIX) and _PART.fullmatch(name):
                _remove_if_abandoned(directory / name)


def _remove_if_abandoned(path: Path) -> None:
    """Remove a part of this user's whose lock nobody holds any more."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    with suppress(OSError):
        if os.fstat(handle).st_uid == os.geteuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    os.close(handle)


def _flush_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)  # the names themselves
    finally:
        os.close(directory)

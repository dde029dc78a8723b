"""Where a store's files are: in a directory, or wherever fsspec reaches. Whole files by path, small ones by key."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from prefect.errors import StoreError
from prefect.store.packs import Packs
from prefect.user_cache import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect.store.formats import Part

    Whole = bytes | bytearray | mmap
    """All of a file."""


class Files(Protocol):
    """Files by their paths in a store, with "/" between names."""

    where: str
    """The store, as it is found again from another process."""

    def small(self, key: str, *, soon: bool = False) -> bytes | None:
        """Return what has a key, None where there is nothing.

        Args:
            soon: whether what another process has just written may be missed.
        """

    def write_small(self, key: str, parts: Sequence[Part]) -> None:
        """Write at most `LARGEST_SMALL` bytes by their key, whole or not at all."""

    def remove_small(self, key: str) -> None:
        """Remove what has a key."""

    def read(self, path: str) -> Whole | None:
        """Return all of a file, None where there is none."""

    def write(self, path: str, parts: Sequence[Part]) -> None:
        """Write a file whole or not at all, over one that is there."""

    def touch(self, path: str) -> bool:
        """Tell whether there is such a file, which counts as used now."""

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""

    def listed(self, below: str) -> Iterator[tuple[str, int, float]]:
        """Yield path, size in bytes and time of last use of the files below a path."""


LARGEST_SMALL = 1 << 17
"""Bytes of what is small."""
RECENT = 3600.0
"""Seconds for which a file counts as used without being marked again."""
_PROCESS = os.urandom(8).hex()
"""Of this process and its forks, whose numbers tell them apart; in containers numbers alone do not."""


class LocalFiles:
    """Files below a directory, which this user alone may read.

    Nothing is flushed to the disk: what a power failure left incomplete is known by its digest, and is as
    if it had not been written.

    Args:
        directory: absolute; it is made when something is written.
    """

    def __init__(self, directory: Path) -> None:
        self.where = str(directory)
        self._base = f"{directory}/"
        self._count = 0
        self._owner = _other_owner(directory)
        self._packs = Packs(f"{self._base}packs", lambda: self._make("packs"), self._new)

    def small(self, key: str, *, soon: bool = False) -> bytes | None:
        """Return what has a key, None where there is nothing; see `Files`."""
        try:
            return self._packs.read(key, soon=soon)
        except OSError as error:
            raise failed("read", self.where, error) from error

    def write_small(self, key: str, parts: Sequence[Part]) -> None:
        """Write something small by its key."""
        try:
            self._packs.write(key, parts)
        except OSError as error:
            raise failed("written", self.where, error) from error

    def remove_small(self, key: str) -> None:
        """Remove what has a key, so that nothing of it is left on the disk."""
        try:
            self._packs.remove(key)
        except OSError as error:
            raise failed("changed", self.where, error) from error

    def merge_packs(self, *, many: int = 0, idle: float = RECENT) -> int:
        """Make one of many small packs; return how many there are fewer.

        Args:
            many: so many packs that nothing is done of fewer.
            idle: seconds for which nobody used them.
        """
        try:
            if many and len(os.listdir(f"{self._base}packs")) < many:  # noqa: PTH208 - quicker
                return 0
            return self._packs.merge(idle)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise failed("changed", self.where, error) from error

    def _new(self, path: str) -> int:
        """Open a new file for writing, of whoever has the directory."""
        handle = os.open(path, _NEW, 0o600)
        if self._owner is not None:
            os.fchown(handle, *self._owner)
        return handle

    def read(self, path: str) -> Whole | None:
        """Return all of a file, which counts as used now; None where there is none."""
        try:
            handle = os.open(self._base + path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise failed("read", self.where, error) from error
        try:
            status = os.fstat(handle)
            if time.time() - status.st_mtime > RECENT:
                self.touch(path)
            found = _memory(status.st_size)
            with memoryview(found) as view, os.fdopen(handle, "rb", buffering=0) as file:
                done = 0
                while done < len(view) and (count := file.readinto(view[done:])):
                    done += count
        except OSError as error:
            raise failed("read", self.where, error) from error
        return found if done == len(found) else found[:done]

    def write(self, path: str, parts: Sequence[Part]) -> None:
        """Write a file whole or not at all, over one that is there."""
        self._count += 1
        part = f"{self._base}parts/{_PROCESS}-{os.getpid()}-{id(self)}-{self._count}"
        try:
            try:
                handle = self._new(part)
            except FileNotFoundError:
                self._make("parts")
                handle = self._new(part)
            try:
                with os.fdopen(handle, "wb", buffering=0 if len(parts) == 1 else -1) as file:
                    for each in parts:
                        _write(file, each)
                try:
                    os.rename(part, self._base + path)  # noqa: PTH104 - Path objects cost more
                except FileNotFoundError:
                    self._make(path.rpartition("/")[0])
                    os.rename(part, self._base + path)  # noqa: PTH104
            except BaseException:
                with suppress(OSError):
                    os.unlink(part)  # noqa: PTH108
                raise
        except OSError as error:
            raise failed("written", self.where, error) from error

    def _make(self, directory: str) -> None:
        make_directory(Path(self._base + directory))

    def touch(self, path: str) -> bool:
        """Tell whether there is such a file, which counts as used now."""
        try:
            os.utime(self._base + path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # of somebody else's, or on a disk that is read alone
            return os.path.exists(self._base + path)  # noqa: PTH110
        return True

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._base + path)  # noqa: PTH108
        except OSError as error:
            raise failed("changed", self.where, error) from error

    def listed(self, below: str) -> Iterator[tuple[str, int, float]]:
        """Yield path, size in bytes and time of last use of the files below a path."""
        for base, _, names in os.walk(self._base + below):
            for name in names:
                path = f"{base}/{name}"
                with suppress(FileNotFoundError):  # of a run that goes on meanwhile
                    status = os.lstat(path)
                    yield path[len(self._base) :], status.st_size, status.st_mtime


def make_directory(directory: Path) -> None:
    """Make a directory of a store and its missing parents, for this user alone.

    What root makes in somebody's directory is that one's, as a container's root often is nobody that the
    caller could be.
    """
    for each in make_private(directory):
        give_to_owner(each, each.parent)


def give_to_owner(path: Path, directory: Path) -> None:
    """Have a file that root has made in somebody's directory belong to that one."""
    owner = _other_owner(directory)
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)


def _other_owner(directory: Path) -> tuple[int, int] | None:
    """Return whose a directory is, if root is asking and it is another's."""
    if os.geteuid() != 0:
        return None
    found = next(each for each in (directory, *directory.parents) if each.exists()).stat()
    return (found.st_uid, found.st_gid) if found.st_uid else None


def _memory(size: int) -> Whole:
    """Return memory that arrays in it can be written to; a large one is not filled with zeros first.

    Not the file itself, mapped: what was compared with its digest could change, or be gone, which ends a process.
    """
    if size < _LARGE:
        return bytearray(size)
    return mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS)


_LARGE = 1 << 18
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _write(file: Any, part: Part) -> None:
    with memoryview(part) as view:
        done = 0
        while done < len(view):  # more than 2 GB are not written at once
            done += file.write(view[done:])


def failed(what: str, where: str, error: Exception) -> StoreError:
    """Return what is raised where a store does not do what it is asked."""
    return StoreError(f"The store {where} cannot be {what}: {type(error).__name__}: {error}")

"""Where a store's files are: in a directory, or wherever fsspec reaches. Whole files by path, no more."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from prefect.errors import StoreError
from prefect.user_cache import make_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect.store.formats import Part


class Files(Protocol):
    """Files by their paths in a store, with "/" between names."""

    where: str
    """The store, as it is found again from another process."""

    def read(self, path: str) -> bytearray | bytes | None:
        """Return all of a file, None where there is none."""

    def write(self, path: str, parts: Sequence[Part]) -> None:
        """Write a file whole or not at all, over one that is there."""

    def touch(self, path: str) -> bool:
        """Tell whether there is such a file, which counts as used now."""

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""

    def listed(self, below: str) -> Iterator[tuple[str, int, float]]:
        """Yield path, size in bytes and time of last use of the files below a path."""


_RECENT = 3600.0
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

    def read(self, path: str) -> bytearray | None:
        """Return all of a file, which counts as used now; None where there is none."""
        try:
            handle = os.open(self._base + path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _failed("read", self.where, error) from error
        try:
            status = os.fstat(handle)
            if time.time() - status.st_mtime > _RECENT:
                self.touch(path)
            found = bytearray(status.st_size)  # arrays in it can be written
            with memoryview(found) as view, os.fdopen(handle, "rb", buffering=0) as file:
                done = 0
                while done < len(view) and (count := file.readinto(view[done:])):
                    done += count
        except OSError as error:
            raise _failed("read", self.where, error) from error
        return found if done == len(found) else found[:done]

    def write(self, path: str, parts: Sequence[Part]) -> None:
        """Write a file whole or not at all, over one that is there."""
        self._count += 1
        part = f"{self._base}parts/{_PROCESS}-{os.getpid()}-{id(self)}-{self._count}"
        try:
            try:
                handle = os.open(part, _NEW, 0o600)
            except FileNotFoundError:
                self._make("parts")
                handle = os.open(part, _NEW, 0o600)
            try:
                if self._owner is not None:
                    os.fchown(handle, *self._owner)
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
            raise _failed("written", self.where, error) from error

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
            raise _failed("changed", self.where, error) from error

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


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def _write(file: Any, part: Part) -> None:
    with memoryview(part) as view:
        done = 0
        while done < len(view):  # more than 2 GB are not written at once
            done += file.write(view[done:])


class RemoteFiles:
    """Files below a URL, by fsspec: s3://bucket/prefix, gs://, az://, sftp://, memory:// and others.

    Args:
        url: of the directory that has them.

    Raises:
        StoreError: fsspec, or what it needs for such URLs, is not installed; says how to get it.
    """

    def __init__(self, url: str) -> None:
        self.where = url.rstrip("/")
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra

            self._system, self._base = url_to_fs(self.where, use_listings_cache=False)
        except ImportError as error:
            raise StoreError(
                f"Stores at {url} need more packages: {error}. pip install 'prefect[stores]', and for S3 "
                "s3fs, for Google's gcsfs, for Azure's adlfs"
            ) from error
        except Exception as error:
            raise StoreError(f"There is no store at {url}: {_text(error)}") from error
        protocol = self._system.protocol
        named = {protocol} if isinstance(protocol, str) else set(protocol)
        self._is_atomic = not named.isdisjoint(_WHOLE)

    def read(self, path: str) -> bytes | None:
        """Return all of a file, None where there is none."""
        try:
            found: bytes = self._system.cat_file(self._path(path))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed("read", error) from error
        return found

    def write(self, path: str, parts: Sequence[Part]) -> None:
        """Write a file whole or not at all, over one that is there."""
        target = self._path(path)
        data = b"".join(parts)
        try:
            if self._is_atomic:
                self._system.pipe_file(target, data)
                return
            self._system.makedirs(target.rpartition("/")[0], exist_ok=True)
            part = f"{target}.{os.urandom(8).hex()}.part"
            self._system.pipe_file(part, data)
            self._system.mv(part, target)
        except Exception as error:
            raise self._failed("written", error) from error

    def touch(self, path: str) -> bool:
        """Tell whether there is such a file. Most servers know no time of use."""
        try:
            return bool(self._system.exists(self._path(path)))
        except Exception as error:
            raise self._failed("read", error) from error

    def remove(self, path: str) -> None:
        """Remove a file if it is there."""
        try:
            with suppress(FileNotFoundError):
                self._system.rm_file(self._path(path))
        except Exception as error:
            raise self._failed("changed", error) from error

    def listed(self, below: str) -> Iterator[tuple[str, int, float]]:
        """Yield path, size in bytes and time of writing of the files below a path."""
        try:
            found = self._system.find(self._path(below), detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed("read", error) from error
        for path, about in found.items():
            time = about.get("LastModified") or about.get("mtime") or about.get("created") or 0.0
            time = time.timestamp() if hasattr(time, "timestamp") else float(time)
            yield path[len(self._base) :].lstrip("/"), int(about.get("size") or 0), time

    def _path(self, path: str) -> str:
        return f"{self._base}/{path}"

    def _failed(self, what: str, error: Exception) -> StoreError:
        return _failed(what, self.where, error)


_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "memory"}
"""Protocols whose objects are there whole or not at all."""


def _failed(what: str, where: str, error: Exception) -> StoreError:
    return StoreError(f"The store {where} cannot be {what}: {_text(error)}")


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

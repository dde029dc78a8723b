"""Blobs of the store: what is held open of them, and those on their way in."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import ImageContentError
from prefect.oci.cache.layout import is_at
from prefect.oci.digests import CHUNK, VerifiedFile, verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from prefect.oci.images import Blob


class Held:
    """A blob that is open and locked, shared, so that nobody evicts it.

    Even if somebody deletes it by hand, its bytes stay as long as it is held.
    """

    def __init__(self, handle: int, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest
        self.size = os.fstat(handle).st_size
        self._handle = handle
        self._verified: int | None = None  # the time of change of what was verified

    @classmethod
    def of(cls, path: Path, digest: str) -> Held | None:
        """Open and lock a blob; None if it is not there."""
        while True:
            try:
                handle = os.open(path, os.O_RDONLY)
            except (FileNotFoundError, PermissionError):  # the latter: made by root
                return None
            fcntl.flock(handle, fcntl.LOCK_SH)  # who evicts holds it for a moment only
            if is_at(handle, path):
                return cls(handle, path, digest)
            os.close(handle)

    def trust(self) -> None:
        """Take its present bytes for verified: they were hashed while they were written."""
        self._verified = os.fstat(self._handle).st_mtime_ns

    def verify(self) -> bool:
        """Compare the bytes with the digest, unless that was done and they did not change since."""
        changed = os.fstat(self._open()).st_mtime_ns
        if self._verified != changed:
            if _digest_of(self._open()) != self.digest:
                return False
            self._verified = changed
        return True

    def touch(self) -> None:
        """Note that it is used now."""
        trusted = self._verified is not None
        with suppress(OSError):
            os.utime(self.path)
        if trusted:
            self.trust()

    def open(self) -> VerifiedFile:
        """Open it, verified, for reading from its start.

        Raises:
            ImageContentError: on reading: it was altered meanwhile.
            ValueError: it was not verified, or its store was closed.
        """
        if self._verified is None:
            raise ValueError(f"{self.digest} was not verified")
        reader = _Reader(os.dup(self._open()), self.digest, self.size, self._verified)
        return VerifiedFile(reader, self.digest, self.size)

    def discard(self) -> None:
        """Delete it, because its bytes are not what they should be, and let go of it."""
        if is_at(self._open(), self.path):
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _open(self) -> int:
        if self._handle < 0:
            raise ValueError("The store of this blob was closed: read it before that")
        return self._handle


class _Reader(io.RawIOBase):
    """The bytes of a file that was verified when it had its time of change."""

    # Readers of one file share its descriptor's offset, so each counts for itself.
    def __init__(self, handle: int, digest: str, size: int, verified: int) -> None:
        self._handle, self._digest, self._size, self._verified = handle, digest, size, verified
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = os.preadv(self._handle, [buffer], self._position)
        self._position += count
        if not count or self._position >= self._size:
            self._compare()
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._handle)
        super().close()

    def _compare(self) -> None:
        # That it is used also changes its time: then the bytes tell.
        changed = os.fstat(self._handle).st_mtime_ns
        if changed != self._verified:
            if _digest_of(self._handle) != self._digest:
                raise ImageContentError(
                    f"{self._digest} was altered in the cache while it was read"
                )
            self._verified = changed


def _digest_of(handle: int) -> str:
    found, position = hashlib.sha256(), 0
    while chunk := os.pread(handle, CHUNK, position):
        found.update(chunk)
        position += len(chunk)
    return f"sha256:{found.hexdigest()}"


def keeping(blob: Blob, directory: Path, keep: Callable[[Path], object]) -> VerifiedFile:
    """Open a blob that comes from elsewhere, to be kept when the last byte of it was right.

    Args:
        keep: takes the complete file that has the blob's bytes.
    """
    kept = _Keeping(verified(blob), directory, keep)
    return VerifiedFile(kept, blob.digest, blob.size)


class _Keeping(io.RawIOBase):
    def __init__(
        self, source: VerifiedFile, directory: Path, keep: Callable[[Path], object]
    ) -> None:
        self._source = source
        self._keep = keep
        self._rest = source.size
        self._complete = False
        self._part: BinaryIO | None = None
        with suppress(OSError):
            handle, name = tempfile.mkstemp(dir=directory)
            self._path = Path(name)
            self._part = os.fdopen(handle, "wb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        count = self._source.readinto(view)
        self._rest -= count
        if self._part is not None:
            try:
                self._part.write(view[:count])
            except OSError:  # a full disk keeps nothing; the reader need not know
                self._drop()
        if not self._rest and not self._complete:
            self._finish()
        return count

    def close(self) -> None:
        if not self.closed:
            self._source.close()
            self._drop()
        super().close()

    def _finish(self) -> None:
        self._complete = True  # and right, or the source had not given the last of it
        if self._part is not None:
            with suppress(OSError):
                flush(self._part)
                self._part.close()
                self._keep(self._path)
            self._drop()

    def _drop(self) -> None:
        if self._part is not None:
            with suppress(OSError):
                self._part.close()
            self._path.unlink(missing_ok=True)
            self._part = None


def flush(file: BinaryIO) -> None:
    """Wait until what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

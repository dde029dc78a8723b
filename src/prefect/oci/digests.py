"""Reading bytes that are named by their digest, so that no other bytes are taken for them."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, NoReturn, Protocol

from prefect.errors import ImageContentError
from prefect.patterns import pattern

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from prefect.oci.images import Blob

# The one algorithm that every implementation has (OCI image specification, descriptor.md). As the
# digits name files, nothing else may be taken for a digest.
DIGEST = pattern(r"sha256:[0-9a-f]{64}")
CHUNK = 1 << 20  # bytes that are read and hashed at a time


class Bytes(Protocol):
    """What gives bytes in order: at most as many as are asked for, none at the end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""

    def close(self) -> None:
        """Let go of where they come from."""


class VerifiedFile(io.BufferedReader):
    """A blob's bytes, the last of which are given only when digest and size are right.

    Whoever opens a blob and gets one of these need not hash what it reads: that is done.
    """

    def __init__(self, raw: io.RawIOBase, digest: str, size: int) -> None:
        super().__init__(raw, CHUNK)
        self.digest, self.size = digest, size


def verified(blob: Blob) -> VerifiedFile:
    """Open a blob so that its last byte is given only when digest and size are right.

    Bytes before the last ones are given as they come: what must not be acted upon before all of
    it is verified is read to the end first. What verifies itself is not hashed a second time.

    Args:
        blob: what is opened.

    Raises:
        ImageContentError: on reading: they are not what was promised.
        OSError: the blob cannot be opened or, on reading, not read.
    """
    if not DIGEST.fullmatch(blob.digest):
        raise ImageContentError(f"The digest {blob.digest!r} is not sha256:<64 hex>")
    # Opened first: what cannot be opened leaves no half-made reader behind, to be closed.
    file = blob.open()
    if isinstance(file, VerifiedFile) and (file.digest, file.size) == (blob.digest, blob.size):
        return file
    return verifying(file, blob.digest, blob.size)


def verifying(file: Bytes, digest: str, size: int, accused: str = "") -> VerifiedFile:
    """Return what a file gives, hashed as it passes: see `verified`.

    Args:
        accused: begins the sentence that says what is wrong with the bytes.
    """
    accused = accused or (f"{digest} of {size} bytes was altered, or not transferred as a whole")
    return VerifiedFile(_Hashed(file, digest, size, accused), digest, size)


def read_verified(blob: Blob, limit: int) -> bytes:
    """Return the bytes of a small blob.

    Args:
        limit: the greatest size that is read, in bytes.

    Raises:
        ImageContentError: it is larger, or not what its digest and size promise.
        OSError: it cannot be read.
    """
    if blob.size > limit:
        raise ImageContentError(
            f"{blob.digest} has {blob.size} bytes; at most {limit} are read of such"
        )
    with verified(blob) as file:
        return file.read()


class _Hashed(io.RawIOBase):
    """A file's bytes, hashed; the reader above it makes large reads of them."""

    def __init__(self, file: Bytes, digest: str, size: int, accused: str) -> None:
        self._file, self._digest, self._accused = file, digest, accused
        self._hash = hashlib.sha256()
        self._rest = size
        self._complete = False
        self._fault = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        if self._fault:  # whoever asks again must not get a shorter file
            raise ImageContentError(self._fault)
        data = self._file.read(min(len(view), max(self._rest, 1)))
        self._hash.update(data)
        self._rest -= len(data)
        if self._rest < 0 or (not data and self._rest):
            self._refuse(f"there are {'more' if data else 'fewer'} bytes")
        if not self._rest and not self._complete:
            if (digest := f"sha256:{self._hash.hexdigest()}") != self._digest:
                self._refuse(f"the digest is {digest}")
            if self._file.read(1):
                self._refuse("there are more bytes")
            self._complete = True
        view[: len(data)] = data
        return len(data)

    def _refuse(self, what: str) -> NoReturn:
        self._fault = f"{self._accused}: {what}"
        raise ImageContentError(self._fault)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

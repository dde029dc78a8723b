"""The files of a layer, straight from its blob: nothing is written, and no layer held in memory."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from isal import igzip, isal_zlib

from prefect.errors import ImageContentError, ImageError
from prefect.oci.digests import CHUNK, verified
from prefect.oci.layers.tar import Member, TarReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

    from prefect.oci.images import Blob, Layer

# What unpacking gzip raises.
MALFORMED: tuple[type[Exception], ...] = (
    EOFError, gzip.BadGzipFile, zlib.error, cast("type[Exception]", isal_zlib.IsalError),
)  # fmt: skip


def walk(layer: Layer, *, limit: int | None = None) -> Iterator[tuple[Member, TarReader]]:
    """Give every member of a layer, with a reader of the content while the next is not asked for.

    Once the last was given, the digests of the layer are compared, packed and unpacked: until
    then, nothing that was given is to be trusted. No layer needs to be read beyond what is wrong.

    Args:
        layer: one that has a blob.
        limit: of what the layer has unpacked, in bytes; None for any size.

    Raises:
        ImageContentError: the layer is malformed, larger, or not what its digests promise.
        ImageError: the layer's bytes are not at hand: a container engine has it.
        OSError: they cannot be read.
    """
    if layer.blob is None:
        raise ImageError(
            f"The layer {layer.diff_id} is in a container engine: its bytes are not at hand"
        )
    with closing(_Counted(unpacked(layer.blob), layer, limit)) as raw:
        file = io.BufferedReader(raw, CHUNK)
        try:
            reader = TarReader(file)
            for member in reader:
                yield member, reader
            while file.read(CHUNK):  # what follows the archive belongs to the layer, too
                pass
        except ImageContentError as error:
            raise ImageContentError(f"The layer {layer.diff_id}: {error}") from error
        raw.compare()


def is_plain(layer: Layer) -> bool:
    """Tell whether a layer is stored as it is: then the digest of its blob is its diff_id, too."""
    blob = layer.blob
    return blob is not None and blob.digest == layer.diff_id and blob.media_type.endswith(".tar")


def unpacked(blob: Blob) -> BinaryIO:
    """Open a layer's blob as the tar archive that it has packed. The blob's digest is verified.

    Raises:
        ImageContentError: also on reading: it cannot be unpacked, or is not what was promised.
        OSError: it cannot be read.
    """
    kind = blob.media_type.replace(".tar.", ".tar+").rpartition(".tar")[2]
    if kind not in {"", "+gzip", "+zstd"} or ".tar" not in blob.media_type:
        raise ImageContentError(f"{blob.digest} is of type {blob.media_type!r}: no layer of files")
    zstd = _zstd() if kind == "+zstd" else None
    file = verified(blob)
    if zstd is not None:
        return io.BufferedReader(_Unpacked(file, zstd.open(file), zstd.ZstdError), CHUNK)
    if kind == "+gzip":
        return io.BufferedReader(_Unpacked(file, gunzip(file)), CHUNK)
    return file


def gunzip(file: BinaryIO) -> BinaryIO:
    """Open what gzip packed, in any number of members; malformed, it raises one of `MALFORMED`."""
    return cast("BinaryIO", igzip.open(file, "rb"))  # type: ignore[no-untyped-call]


def _zstd() -> Any:
    try:
        return importlib.import_module("compression.zstd")
    except ImportError as error:
        raise ImageContentError(
            "A layer is packed with zstd, which Python reads from 3.14 on. Use that, or an image "
            "with gzip layers"
        ) from error


class _Unpacked(io.RawIOBase):
    """What a file unpacks to, with errors of our own."""

    def __init__(self, packed: BinaryIO, file: BinaryIO, *errors: type[Exception]) -> None:
        self._packed, self._file, self._errors = packed, file, (*MALFORMED, *errors)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._file.read(len(view))
            if not data:
                while self._packed.read(CHUNK):  # so that the end is verified
                    pass
        except self._errors as error:
            raise ImageContentError(f"A layer cannot be unpacked: {error}") from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._packed.close()
        super().close()


class _Counted(io.RawIOBase):
    """A layer's archive, hashed and measured as it passes."""

    def __init__(self, file: BinaryIO, layer: Layer, limit: int | None) -> None:
        self._file, self._layer, self._limit = file, layer, limit
        self._hash, self._size = None if is_plain(layer) else hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read(len(view))
        if self._hash is not None:
            self._hash.update(data)
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            raise ImageContentError(
                f"The layer {self._layer.diff_id} has more than {self._limit} bytes unpacked"
            )
        view[: len(data)] = data
        return len(data)

    def compare(self) -> None:
        if self._hash is None:
            return  # the blob's digest was compared
        if (digest := f"sha256:{self._hash.hexdigest()}") != self._layer.diff_id:
            raise ImageContentError(
                f"A layer unpacks to {digest}, but the config says {self._layer.diff_id}"
            )

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

"""Where a sealed flow is read from: bytes in memory, or a file that is never read whole."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol, TypeAlias, cast

from prefect.errors import FormatError
from prefect.files import read_to_end
from prefect.pyz import reading as pyz

if TYPE_CHECKING:
    from collections.abc import Iterator

# Small enough for a processor's cache, where hashing and encrypting follow each other.
PIECE_BYTES: Final = 64 * 1024

# A pipe cannot be read at random: it is taken into memory, up to this size.
PIPE_BYTES: Final = 1024 * 1024 * 1024

SealedSource: TypeAlias = bytes | bytearray | memoryview | os.PathLike[str] | io.BufferedIOBase


class Source(Protocol):
    """A sealed flow's bytes, at random access; what is read by one caller moves nothing of another's."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return these bytes, or fewer at the end."""

    def pieces(self, offset: int, length: int) -> Iterator[memoryview]:
        """Yield these bytes piece by piece; a piece is gone when the next is asked for.

        Raises:
            FormatError: the bytes end before that, because the file has just been changed.
        """


@contextmanager
def opened(source: SealedSource) -> Iterator[Source]:
    """Open a sealed flow for reading; an open file stays open.

    Of a file that runs by itself, it is the sealed flow in it, read where it lies.

    Raises:
        TypeError: it is neither bytes nor a path.
        FormatError: it is a file that runs by itself, and malformed.
        InputTooLargeError: a pipe has more than 1 GiB (an OSError).
        OSError: the file cannot be read.
    """
    with opened_whole(source) as whole:
        yield _within(whole) if pyz.is_pyz(whole) else whole


def _within(archive: Source) -> Source:
    member = pyz.read_members(archive)[pyz.SEALED]
    pyz.require_header(archive, member)
    return _Window(archive, member.start, member.size)


@contextmanager
def opened_whole(source: SealedSource) -> Iterator[Source]:
    """Open whatever a sealed flow is in for reading; an open file stays open.

    Raises:
        TypeError: it is neither bytes nor a path.
        InputTooLargeError: a pipe has more than 1 GiB (an OSError).
        OSError: the file cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield _Memory(source)
    elif isinstance(source, io.BufferedIOBase):
        yield _File(cast("BinaryIO", source))
    elif isinstance(source, os.PathLike):
        with Path(source).open("rb", buffering=0) as file:
            yield (
                _File(file)
                if file.seekable()
                else _Memory(read_to_end(file, PIPE_BYTES, str(source)))
            )
    else:
        raise TypeError(
            f"A sealed flow is bytes, not {type(source).__name__}; for a file, give its path as "
            "pathlib.Path(…)"
        )


class _Memory:
    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._view = memoryview(data).cast("B")
        # A piece is hashed and then decrypted: nobody may change it in between.
        self._is_fixed = isinstance(data, bytes)
        self.size = len(self._view)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._view[offset : offset + length])

    def pieces(self, offset: int, length: int) -> Iterator[memoryview]:
        for start in range(offset, offset + length, PIECE_BYTES):
            piece = self._view[start : min(start + PIECE_BYTES, offset + length)]
            yield piece if self._is_fixed else memoryview(bytes(piece))


class _File:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        found = bytearray()
        while piece := self._file.read(length - len(found)):
            found += piece
        return bytes(found)

    def pieces(self, offset: int, length: int) -> Iterator[memoryview]:
        room = memoryview(bytearray(min(PIECE_BYTES, length)))
        while length:
            self._file.seek(offset)  # others may have read in between
            count = self._file.readinto(room[: min(length, len(room))])  # type: ignore[attr-defined]
            if not count:
                raise FormatError("This sealed flow became shorter while it was read")
            offset, length = offset + count, length - count
            yield room[:count]


class _Window:
    """A part of another source."""

    def __init__(self, whole: Source, start: int, size: int) -> None:
        self._whole = whole
        self._start = start
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        return self._whole.read(self._start + offset, length)

    def pieces(self, offset: int, length: int) -> Iterator[memoryview]:
        return self._whole.pieces(self._start + offset, length)

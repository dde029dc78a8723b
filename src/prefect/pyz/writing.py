"""Writing a file that runs by itself around a sealed flow, which is written in its place."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from prefect.errors import ArtifactError
from prefect.pyz.index import index_text
from prefect.pyz.reading import (
    DEFLATED,
    HEAD,
    INDEX,
    LARGEST,
    SEALED,
    STORED,
    Member,
    Source,
    directory,
    packed_content,
    read_members,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PIECE_BYTES = 1 << 20
_LEVEL = 6  # a thirtieth more bytes than the best, in a third of the time


class Packed(NamedTuple):
    """A member in the clear, as it will lie in the archive."""

    name: str
    method: int
    crc: int
    size: int
    data: bytes

    def content(self) -> bytes:
        """Return it as it is unpacked."""
        return zlib.decompress(self.data, -15) if self.method == DEFLATED else self.data


def pack(files: Mapping[str, bytes], release: str) -> list[Packed]:
    """Return what stands in the clear, with its index, in order.

    Args:
        files: contents by names.
        release: the version of this package whose files they are.
    """
    text = index_text(files, release)
    return [_packed(name, content) for name, content in sorted({**files, INDEX: text}.items())]


def packed_of(source: Source) -> list[Packed]:
    """Return what stands in the clear in a file that runs by itself, as it lies there.

    Raises:
        FormatError: it is malformed.
    """
    return [
        Packed(one.name, one.method, one.crc, one.size, packed_content(source, one))
        for one in read_members(source).values()
        if one.name != SEALED
    ]


@contextmanager
def around(file: BinaryIO, clear: Sequence[Packed]) -> Iterator[None]:
    """Write what stands before a sealed flow, have it written, and write what stands behind it.

    Args:
        file: empty, and readable as well.
        clear: what stands in the clear.

    Raises:
        ArtifactError: it has more than 4 GiB.
        OSError: the file cannot be written.
    """
    members = []
    file.write(HEAD)
    for one in clear:
        member = Member(one.name, file.tell(), one.method, one.crc, len(one.data), one.size)
        file.write(member.header())
        file.write(one.data)
        members.append(member)
    empty = Member(SEALED, file.tell(), STORED, 0, 0, 0)
    file.write(empty.header())
    yield
    end = file.seek(0, 2)
    size = end - empty.start
    sealed = Member(SEALED, empty.offset, STORED, _crc(file, empty.start), size, size)
    last = directory([*members, sealed], end)
    if end + len(last) > LARGEST:
        raise ArtifactError(
            "A file that runs by itself can have 4 GiB, for Python finds nothing in larger ones. Build a "
            "FILE.flow, which may be of any size"
        )
    file.seek(sealed.offset)
    file.write(sealed.header())
    file.seek(end)
    file.write(last)


def _packed(name: str, content: bytes) -> Packed:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    data = packer.compress(content) + packer.flush()
    method = DEFLATED if len(data) < len(content) else STORED
    return Packed(name, method, zlib.crc32(content), len(content), data if method else content)


def _crc(file: BinaryIO, start: int) -> int:
    file.seek(start)
    crc = 0
    while piece := file.read(_PIECE_BYTES):
        crc = zlib.crc32(piece, crc)
    return crc

"""Reading a file that runs by itself: its one form alone, byte for byte, and nothing of it is executed.

Whatever else is a zip archive for Python is refused: what stands between members or twice, and whatever two
readers might take for different things. So a small reader of our own does, and no time or memory goes
to what a hostile file claims to hold.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from prefect.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD: Final = b"#!/usr/bin/env python3\n"
MAIN: Final = "__main__.py"
RUNTIME: Final = "runtime/"
WHEELS: Final = "wheels/"
INDEX: Final = "index.json"
SEALED: Final = "sealed.flow"
ENDING: Final = ".pyz"

# Python finds no archive beyond that before 3.13: its offsets have 32 bits.
LARGEST: Final = (1 << 32) - 1
MOST_MEMBERS: Final = 2_000
LARGEST_MEMBER: Final = 64 << 20  # bytes, of those in the clear; cryptography's wheel has 15 MB
LARGEST_CLEAR: Final = 1 << 30  # of all of them

STORED, DEFLATED = 0, 8
_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]*(?:/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)
_LONGEST_NAME = 200
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_SIGNATURE, _ENTRY, _LAST = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
START: Final = HEAD + _SIGNATURE
_VERSION, _UNIX = 20, 3 << 8
_FIRST_DAY = 1 << 5 | 1  # of 1980, the first that a zip archive can say
_PERMISSIONS = 0o100644 << 16


class Source(Protocol):
    """Bytes at random access, as sealed flows are read from."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Return these bytes, or fewer at the end."""


class Member(NamedTuple):
    """A file in the archive.

    Args:
        offset: where its header begins.
        packed: its length as it lies there, in bytes.
        size: its own length, in bytes.
    """

    name: str
    offset: int
    method: int
    crc: int
    packed: int
    size: int

    @property
    def start(self) -> int:
        """Where its content begins."""
        return self.offset + _LOCAL.size + len(self.name)

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + self.packed

    def header(self) -> bytes:
        """Return what stands before it."""
        name = self.name.encode()
        values = self.method, 0, _FIRST_DAY, self.crc, self.packed, self.size, len(name), 0
        return _LOCAL.pack(_SIGNATURE, _VERSION, 0, *values) + name

    def entry(self) -> bytes:
        """Return what the directory has of it."""
        name = self.name.encode()
        values = self.method, 0, _FIRST_DAY, self.crc, self.packed, self.size, len(name), 0
        rest = 0, 0, 0, _PERMISSIONS, self.offset
        return _CENTRAL.pack(_ENTRY, _UNIX | _VERSION, _VERSION, 0, *values, *rest) + name


def directory(members: Iterable[Member], start: int) -> bytes:
    """Return what stands behind all members: the archive's directory, and its end."""
    entries = [one.entry() for one in members]
    size = sum(map(len, entries))
    end = _END.pack(_LAST, 0, 0, len(entries), len(entries), size, start, 0)
    return b"".join([*entries, end])


def is_pyz(source: Source) -> bool:
    """Tell whether bytes begin as a file that runs by itself does."""
    return source.read(0, len(START)) == START


def read_members(source: Source) -> dict[str, Member]:
    """Return the members of a file that runs by itself, by their names.

    Raises:
        FormatError: it is malformed, incomplete, or larger than such files are.
    """
    size = source.size
    if size > LARGEST:
        raise _malformed("it is larger than 4 GiB")
    end = source.read(max(0, size - _END.size), _END.size)
    if len(end) < _END.size or end[:4] != _LAST:
        raise FormatError(
            "This file that runs by itself is incomplete: it has no directory of an archive at its end. "
            "Copy it again"
        )
    _, _, _, _, count, length, start, _ = _END.unpack(end)
    if not 0 < count <= MOST_MEMBERS or length > count * (_CENTRAL.size + _LONGEST_NAME):
        raise _malformed(f"it does not have 1 to {MOST_MEMBERS} members")
    entries = source.read(start, length)
    members = _entries(entries, count)
    position = len(HEAD)
    for one in members:
        if one.offset != position:
            raise _malformed("its members do not follow each other")
        position = one.end
    if position != start or directory(members, start) != source.read(start, length + _END.size + 1):
        raise _malformed("its directory is not what such a file has")
    _require_members(members)
    return {one.name: one for one in members}


def content(source: Source, member: Member) -> bytes:
    """Return a member in the clear, whole.

    Raises:
        FormatError: it is not what the directory says.
    """
    packed = packed_content(source, member)
    if member.method == STORED:
        found = packed
    else:
        unpacker = zlib.decompressobj(-15)
        try:
            found = unpacker.decompress(packed, member.size + 1)
        except zlib.error:
            raise _damaged(member) from None
        if not unpacker.eof or unpacker.unused_data:
            raise _damaged(member)
    if len(found) != member.size or zlib.crc32(found) != member.crc:
        raise _damaged(member)
    return found


def packed_content(source: Source, member: Member) -> bytes:
    """Return a member in the clear as it lies in the archive.

    Raises:
        FormatError: its header is not what the directory says, or it is cut off.
    """
    whole = source.read(member.offset, member.end - member.offset)
    header = member.header()
    if not whole.startswith(header) or len(whole) != len(header) + member.packed:
        raise _damaged(member)
    return whole[len(header) :]


def require_header(source: Source, member: Member) -> None:
    """Refuse a member before which something else stands than the directory says.

    Raises:
        FormatError: it does.
    """
    header = member.header()
    if source.read(member.offset, len(header)) != header:
        raise _damaged(member)


def _entries(data: bytes, count: int) -> list[Member]:
    members = []
    position = 0
    for _ in range(count):
        record = data[position : position + _CENTRAL.size]
        if len(record) < _CENTRAL.size:
            raise _malformed("its directory is cut off")
        values = _CENTRAL.unpack(record)
        method, crc, packed, size, length, offset = (values[n] for n in (4, 7, 8, 9, 10, 16))
        position += _CENTRAL.size
        name = data[position : position + length].decode("ascii", "replace")
        position += length
        if (
            len(name) > _LONGEST_NAME
            or not _NAME.fullmatch(name)
            or method not in {STORED, DEFLATED}
        ):
            raise _malformed("a member's name or form is none that such a file has")
        members.append(Member(name, offset, method, crc, packed, size))
    return members


def _require_members(members: list[Member]) -> None:
    names = [one.name for one in members]
    clear = [one for one in members if one.name != SEALED]
    if (
        names[-1] != SEALED
        or names[:-1] != sorted(set(names[:-1]))
        or not {MAIN, INDEX} <= set(names)
    ):
        raise _malformed("its members are not those of such a file, in their order")
    if members[-1].method != STORED or any(
        one.packed != one.size for one in members if one.method == STORED
    ):
        raise _malformed("a member is stored in another length than its own")
    if (
        max(one.size for one in clear) > LARGEST_MEMBER
        or sum(one.size for one in clear) > LARGEST_CLEAR
    ):
        raise _malformed("what it has beside the sealed flow is larger than what runs one")


def _damaged(member: Member) -> FormatError:
    return FormatError(
        f"This file that runs by itself is damaged: its {member.name} is not what its directory says. "
        "Get it again from who built it"
    )


def _malformed(how: str) -> FormatError:
    return FormatError(f"This file that runs by itself is malformed: {how}")

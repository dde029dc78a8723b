"""Reading tar archives of people who are not trusted: POSIX ustar and pax, and GNU's long names.

`tarfile` reads extended headers of any size into memory and guesses at malformed ones, where other
programs guess differently. Here what is not clearly a tar archive is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, Literal

from prefect.errors import ImageContentError
from prefect.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["file", "directory", "symlink", "hardlink", "sparse", "other"]

_BLOCK = 512
# Bytes that a member's extended headers may have; extended attributes stand in them, too.
_EXTENDED = 1 << 20
_LONGEST_PATH = 4096  # no container could have a longer one (Linux's PATH_MAX)
_CHUNK = 1 << 20
_LATEST = (1 << 34) - 1  # of what ext4 can say: the year 2446, less a little
_KINDS: dict[bytes, Kind] = {
    b"\0": "file", b"0": "file", b"7": "file", b"1": "hardlink", b"2": "symlink",
    b"5": "directory", b"S": "sparse",
}  # fmt: skip
_WITHOUT_CONTENT = b"123456"  # whatever their size says


@frozen
class Member:
    """A member of an archive.

    Args:
        path: as it stands there; bytes that are no UTF-8 are surrogates.
        size: of its content in the archive, in bytes, which begins at `offset`.
        link: what a symbolic or a hard link leads to.
        mode: its permissions, with the bits of set-user-ID, set-group-ID and sticky.
        modified: in seconds since 1970.
    """

    path: str
    kind: Kind
    size: int
    offset: int
    link: str = ""
    mode: int = 0
    modified: int = 0


class TarReader:
    """Gives an archive's members in their order, and the content of the one it gave last.

    Args:
        file: is read from its beginning; what can seek, skips contents without reading them.

    Raises:
        ImageContentError: on iterating and reading: it is truncated, or no tar archive.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self._end = 0  # of the member given last, and of its padding
        self._content = 0  # where its content ends
        self._size = file.seek(0, 2) if file.seekable() else None
        if self._size is not None:
            file.seek(0)

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            yield member

    def read(self, size: int = _CHUNK) -> bytes:
        """Return up to so many bytes of the member's content; none at its end."""
        size = min(size, self._content - self._position)
        return self._exactly(size) if size > 0 else b""

    def _next(self) -> Member | None:
        self._skip(self._end)
        extended: dict[str, str] = {}
        rest = _EXTENDED
        while True:
            header = self._file.read(_BLOCK)
            self._position += len(header)
            if not header.strip(b"\0"):  # the end, or an end without its zeros
                if extended or len(header) % _BLOCK:
                    raise ImageContentError("A tar archive is truncated")
                return None
            if len(header) < _BLOCK:
                raise ImageContentError("A tar archive is truncated")
            _check(header)
            kind, size = header[156:157], _number(header[124:136])
            if kind not in b"xgLK":
                return self._member(header, kind, size, extended)
            rest -= size
            if rest < 0:
                raise ImageContentError(
                    f"A tar archive has extended headers of more than {_EXTENDED} bytes"
                )
            data = self._exactly(size)
            self._exactly(-size % _BLOCK)
            if kind in b"xg":
                fields = _fields(data)
                if kind == b"g" and any(not _harmless(name) for name in fields):
                    raise ImageContentError("A tar archive renames all of its members at once")
                extended |= fields if kind == b"x" else {}
            else:
                extended["path" if kind == b"L" else "linkpath"] = _text(data)

    def _member(
        self, header: bytes, type_: bytes, size: int, extended: dict[str, str]
    ) -> Member | None:
        path, kind = _text(header[:100]), _KINDS.get(type_, "other")
        if header[257:263] == b"ustar\0" and (prefix := _text(header[345:500])):
            path = f"{prefix}/{path}"
        path = extended.get("path", path)
        if kind == "file" and path.endswith("/"):  # as archives before POSIX wrote them
            kind = "directory"
        size = 0 if type_ in _WITHOUT_CONTENT else _size(extended.get("size"), size)
        if kind == "sparse":
            more = header[482]
            while more:
                more = self._exactly(_BLOCK)[504]
        elif any(name.startswith("GNU.sparse.") for name in extended):
            kind, path = "sparse", extended.get("GNU.sparse.name", path)
        link = extended.get("linkpath", _text(header[157:257]))
        if not path or "\0" in path or "\0" in link:
            raise ImageContentError(f"A tar archive has a malformed path: {path!r:.200}")
        if len(path) > _LONGEST_PATH or len(link) > _LONGEST_PATH:
            raise ImageContentError(f"A tar archive has far too long a path: {path[:200]!r}…")
        self._content = self._position + size
        self._end = self._content + -size % _BLOCK
        if self._size is not None and self._end > self._size:
            raise ImageContentError(f"A tar archive is truncated in {path!r}")
        mode, modified = _number(header[100:108]) & 0o7777, _time(header[136:148])
        if "mtime" in extended:
            modified = _seconds(extended["mtime"])
        return Member(path, kind, size, self._position, link, mode, min(modified, _LATEST))

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        self._position += len(data)
        if len(data) < size:
            raise ImageContentError("A tar archive is truncated")
        return data

    def _skip(self, end: int) -> None:
        if self._size is not None:
            self._file.seek(end)
            self._position = end
        while self._position < end:
            self._exactly(min(_CHUNK, end - self._position))


def _check(header: bytes) -> None:
    said = _number(header[148:156])
    if said != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise ImageContentError("It is not a tar archive, or a damaged one")


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU's binary numbers
        number = int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        if field[0] & 0x40 or number >> 62:
            raise ImageContentError("A tar archive has a number that cannot be one")
        return number
    if not re.fullmatch(rb"[0-7]*", digits := field.strip(b" \0")):
        raise ImageContentError("It is not a tar archive, or a damaged one")
    return int(digits or b"0", 8)


def _size(extended: str | None, size: int) -> int:
    if extended is None:
        return size
    if not re.fullmatch(r"[0-9]{1,18}", extended, re.ASCII):
        raise ImageContentError("A tar archive has a malformed extended header")
    return int(extended)


def _time(field: bytes) -> int:
    return 0 if field[:1] == b"\xff" else _number(field)  # GNU's binary numbers: before 1970


def _seconds(extended: str) -> int:
    """Return whole seconds of a time, which may have a fraction; none before 1970 is told apart."""
    match = re.fullmatch(r"(-?)([0-9]{1,18})(?:\.[0-9]*)?", extended, re.ASCII)
    if match is None:
        raise ImageContentError("A tar archive has a malformed extended header")
    return 0 if match[1] else int(match[2])


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _fields(data: bytes) -> dict[str, str]:
    """Take "length name=value" lines apart, as POSIX pax defines them."""
    fields = {}
    while data:
        length = re.match(rb"([0-9]{1,7}) ", data)
        if length is None:
            raise ImageContentError("A tar archive has a malformed extended header")
        line, data = data[: int(length[1])], data[int(length[1]) :]
        name, equals, value = line[length.end() : -1].partition(b"=")
        if len(line) != int(length[1]) or not equals or line[-1:] != b"\n":
            raise ImageContentError("A tar archive has a malformed extended header")
        fields[name.decode(errors="surrogateescape")] = value.decode(errors="surrogateescape")
    return fields


def _harmless(name: str) -> bool:
    return name not in {"path", "linkpath", "size"} and not name.startswith("GNU.sparse.")

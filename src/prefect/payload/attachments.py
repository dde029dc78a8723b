"""What travels beside a payload, file by file: how a manifest lists it, and how it is packed.

A manifest names each file with its size and digest; the contents stand elsewhere, each once, in the
order of their digests: in a sealed flow in a section of their own, in an image in a layer. What a
manifest lists may be anybody's: it is checked here, whole, before a path of it is used.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from itertools import chain
from typing import TYPE_CHECKING, Any

from prefect.errors import ArtifactError, FormatError, IncludeError
from prefect.frozen import field, frozen
from prefect.patterns import pattern
from prefect.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

_PIECE = 1 << 20
_MOST = 100_000
_LARGEST = 2**40
_SHA256 = pattern(r"[0-9a-f]{64}")
_MEMBERS = {"size", "sha256", "executable"}


@frozen
class Attachment:
    """A file that travels.

    Args:
        path: where it goes, relative and with slashes, such as "sql/query.sql".
        size: in bytes.
        sha256: of its content, in hexadecimal digits.
        executable: whether it is a program.
        source: where it is here; None where it has come out of an artifact.
    """

    path: str
    size: int
    sha256: str
    executable: bool = False
    source: Path | None = field(default=None, compare=False)

    @classmethod
    def of(cls, source: Path, path: str) -> Attachment:
        """Read a file, and describe it.

        Args:
            source: the file.
            path: where it goes.

        Raises:
            IncludeError: `path` cannot be a path of a package.
            OSError: it cannot be read.
        """
        if not _is_path(path):
            raise IncludeError(
                f"The file {printable(str(source))} cannot travel: its name has what not every "
                "system can write. Rename it"
            )
        sha256, size = hashlib.sha256(), 0
        with source.open("rb") as file:
            executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
            while piece := file.read(_PIECE):
                sha256.update(piece)
                size += len(piece)
        return cls(path, size, sha256.hexdigest(), executable, source)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content, as it was when it was described.

        Raises:
            ArtifactError: it has changed since.
            OSError: it cannot be read.
        """
        if self.source is None:
            raise ValueError(f"{self.path} is nowhere here")
        sha256 = hashlib.sha256()
        with self.source.open("rb") as file:
            while piece := file.read(_PIECE):
                sha256.update(piece)
                yield piece
        if sha256.hexdigest() != self.sha256:
            raise ArtifactError(
                f"The file {printable(str(self.source))} changed while it was packaged. Build when "
                "nothing writes to it"
            )


def listed(files: Iterable[Attachment]) -> dict[str, dict[str, Any]]:
    """Return files as a manifest lists them, by path."""
    return {
        one.path: {"executable": one.executable, "sha256": one.sha256, "size": one.size}
        for one in files
    }


def attachments(values: Any) -> tuple[Attachment, ...]:
    """Return what a manifest lists, checked.

    Args:
        values: plain JSON values, whatever they are.

    Raises:
        FormatError: `listed` does not give them.
    """
    if not isinstance(values, dict) or len(values) > _MOST:
        raise FormatError(f"The manifest does not list at most {_MOST} files")
    found = [_attachment(path, entry) for path, entry in sorted(values.items())]
    paths = {one.path for one in found}
    for path in paths:
        parts = path.split("/")
        if any("/".join(parts[:count]) in paths for count in range(1, len(parts))):
            raise FormatError(f"The manifest lists the file {path!r} below another file")
    sizes: dict[str, int] = {}
    for one in found:
        if sizes.setdefault(one.sha256, one.size) != one.size:
            raise FormatError(f"The manifest gives the file {one.path!r} two sizes")
    return tuple(found)


def _attachment(path: str, entry: Any) -> Attachment:
    if (
        not _is_path(path)
        or not isinstance(entry, dict)
        or entry.keys() != _MEMBERS
        or type(entry["size"]) is not int
        or not 0 <= entry["size"] <= _LARGEST
        or not isinstance(entry["sha256"], str)
        or not _SHA256.fullmatch(entry["sha256"])
        or type(entry["executable"]) is not bool
    ):
        raise FormatError(
            f"The manifest lists the file {printable(path)[:200]!r} in an unknown way"
        )
    return Attachment(path, **entry)


def _is_path(path: str) -> bool:
    parts = path.split("/")
    return (
        path.isprintable()
        and "\\" not in path
        and len(path.encode("utf-8", "replace")) <= 1024  # noqa: PLR2004 - of any system's
        # `.wh.` is how a layer of an image deletes a file.
        and not any(part.startswith(".wh.") for part in parts)
        and all(part not in {"", ".", ".."} and len(part.encode()) <= 255 for part in parts)  # noqa: PLR2004
    )


def contents(files: Iterable[Attachment]) -> list[Attachment]:
    """Return one file for each distinct content, in the order of their digests."""
    found = {one.sha256: one for one in files}
    return [found[digest] for digest in sorted(found)]


def pack(
    files: Iterable[Attachment],
    write: Callable[[bytes], Any],
    seen_by: Callable[[Attachment], Any] | None = None,
) -> None:
    """Write the contents of files, each once, as one zlib stream (RFC 1950).

    Args:
        files: the files.
        write: takes the next piece.
        seen_by: returns a file for each, to which each of its pieces is written first as it was.

    Raises:
        ArtifactError: a file has changed since it was described.
        OSError: a file cannot be read.
    """
    packer = zlib.compressobj(1)
    for one in contents(files):
        sight = seen_by(one) if seen_by else None
        for piece in one.pieces():
            if sight:
                sight.write(piece)
            if packed := packer.compress(piece):
                write(packed)
    write(packer.flush())


def unpack(
    files: Iterable[Attachment],
    pieces: Iterable[bytes | memoryview],
    directory: Path,
    *,
    only: Collection[str] | None = None,
) -> None:
    """Write files from what `pack` wrote of them into a directory; each is checked by its digest.

    Files are readable by their owner alone, and not writable.

    Args:
        files: as the manifest lists them.
        pieces: of the stream of their contents.
        directory: is there, and empty.
        only: the paths of those that are written; None is all.

    Raises:
        ArtifactError: the contents are not those that are listed.
        OSError: a file cannot be written.
    """
    places: dict[str, list[Attachment]] = {}
    for one in files:
        places.setdefault(one.sha256, []).append(one)
    stream = _Stream(_inflated(pieces))
    for digest, every in sorted(places.items()):
        wanted = [one for one in every if only is None or one.path in only]
        if not wanted:
            for _ in stream.take(every[0].size):
                pass
            continue
        first, *others = wanted
        target = _target(directory, first)
        sha256 = hashlib.sha256()
        with target.open("xb") as file:
            for piece in stream.take(first.size):
                sha256.update(piece)
                file.write(piece)
        if sha256.hexdigest() != digest:
            raise _damaged()
        target.chmod(_mode(first))
        for other in others:
            copy = _target(directory, other)
            if other.executable == first.executable:
                copy.hardlink_to(target)
            else:
                copy.write_bytes(target.read_bytes())
                copy.chmod(_mode(other))
    if next(stream.rest(), b""):
        raise _damaged()


def _target(directory: Path, one: Attachment) -> Path:
    target = directory / one.path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _mode(one: Attachment) -> int:
    return 0o500 if one.executable else 0o400


class _Stream:
    """Bytes that come piece by piece, taken by counts."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def take(self, count: int) -> Iterator[bytes]:
        while count:
            piece = next(self._pieces, None)
            if piece is None:
                raise _damaged()
            if len(piece) > count:
                self._pieces = chain([piece[count:]], self._pieces)
                piece = piece[:count]
            count -= len(piece)
            yield piece

    def rest(self) -> Iterator[bytes]:
        return (piece for piece in self._pieces if piece)


def _inflated(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield what was compressed, a bounded piece at a time."""
    inflate = zlib.decompressobj()
    try:
        for piece in pieces:
            yield inflate.decompress(piece, _PIECE)
            while rest := inflate.unconsumed_tail:
                yield inflate.decompress(rest, _PIECE)
        yield inflate.flush()
    except zlib.error as error:
        raise _damaged() from error
    if not inflate.eof or inflate.unused_data:
        raise _damaged()


def _damaged() -> ArtifactError:
    return ArtifactError(
        "The files of this package are not those that its manifest lists. Package the flow again"
    )


def total(files: Mapping[str, dict[str, Any]]) -> int:
    """Return the size of files in bytes, as a manifest lists them."""
    return sum(int(entry["size"]) for entry in files.values())

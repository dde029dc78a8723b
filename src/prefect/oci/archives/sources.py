"""Files by their path, in a directory or straight out of a tar archive, and never from elsewhere."""

from __future__ import annotations

import io
import os
import stat
import tempfile
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from prefect.errors import ImageContentError, ImageError
from prefect.frozen import field, frozen
from prefect.oci.digests import CHUNK
from prefect.oci.layers.tar import Member, TarReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

_MEMBERS = 100_000  # an image has at most some hundreds
_LINKS = 16
# What a gzipped archive may become on the disk: layers pack less well than this.
_RATIO, _SMALL = 200, 1 << 30


@frozen
class Stored:
    """A file that is there: its size in bytes, and what opens it."""

    size: int
    open: Callable[[], BinaryIO] = field(repr=False, compare=False)

    def read(self, limit: int, what: str) -> bytes:
        """Return its bytes.

        Raises:
            ImageContentError: it has more than `limit` bytes.
        """
        if self.size > limit:
            raise ImageContentError(
                f"{what} has {self.size} bytes; at most {limit} are read of such"
            )
        with self.open() as file:
            return file.read(self.size)


class FileSource(Protocol):
    """Where files are."""

    def file(self, path: str) -> Stored | None:
        """Return the file at a relative path, or None.

        Raises:
            ImageContentError: the path, or a link in it, leads out of the source, or to no file.
        """


class Directory:
    """The files of a directory."""

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()

    def file(self, path: str) -> Stored | None:
        """Return a file of the directory, or None."""
        full = Path(os.path.realpath(self._root / _inside("", path)))
        if not full.is_relative_to(self._root):
            raise ImageContentError(f"{path!r} leads out of {self._root}")
        try:
            mode = full.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(mode.st_mode):
            raise ImageContentError(f"{path!r} in {self._root} is no file")
        return Stored(mode.st_size, lambda: full.open("rb"))


class Archive:
    """The files of a tar archive, which may be packed with gzip.

    The archive is opened once, and stays open while it or a file of it is in use: one that takes
    its name later does not mix with it.

    Raises:
        ImageContentError: it is no tar archive, a truncated one, or holds one path twice.
        ImageError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            # A pipe without a writer must not be waited for.
            self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._handle)
            if not stat.S_ISREG(os.fstat(self._handle).st_mode):
                raise ImageError(f"{path} is neither a file nor a directory")
        except FileNotFoundError as error:
            raise ImageError(f"There is no image at {path}") from error
        except OSError as error:
            raise ImageError(f"The image {path} cannot be read: {error.strerror}") from error
        if os.pread(self._handle, 2, 0) == b"\x1f\x8b":
            self._unpack(path)
        self._members: dict[str, Member] = {}
        whole = self._window(0, os.fstat(self._handle).st_size)
        for member in TarReader(whole):
            name = _inside("", member.path)
            if member.kind == "directory":
                continue
            if name in self._members or len(self._members) == _MEMBERS:
                raise ImageContentError(f"{path} holds {name!r} twice, or far too many files")
            self._members[name] = member

    def __contains__(self, path: str) -> bool:
        return path in self._members

    def file(self, path: str) -> Stored | None:
        """Return a file of the archive, or None."""
        name = _inside("", path)
        for _ in range(_LINKS):
            member = self._members.get(name)
            if member is None:
                return None
            if member.kind == "file":
                return Stored(member.size, partial(self._window, member.offset, member.size))
            if member.kind not in {"symlink", "hardlink"}:
                raise ImageContentError(f"{name!r} is a {member.kind} file in an image archive")
            # A symbolic link starts where it stands, a hard link at the archive's root.
            start = name.rpartition("/")[0] if member.kind == "symlink" else ""
            name = _inside(start, member.link)
        raise ImageContentError(f"{path!r} is a link to itself in an image archive")

    def _window(self, offset: int, size: int) -> BinaryIO:
        return io.BufferedReader(_Window(self, self._handle, offset, size), CHUNK)

    def _unpack(self, path: Path) -> None:
        """Continue with an unpacked copy that has no name, so that nothing is left of it."""
        from prefect.oci.layers.unpacking import MALFORMED, gunzip  # noqa: PLC0415 - loads isal

        packed_size = os.fstat(self._handle).st_size
        limit = max(_SMALL, _RATIO * packed_size)
        with tempfile.TemporaryFile(prefix="prefect-image-") as copy:
            with (
                self._window(0, packed_size) as packed,
                gunzip(packed) as file,
            ):
                try:
                    while chunk := file.read(CHUNK):
                        if copy.tell() > limit:
                            raise ImageContentError(f"{path} unpacks to more than an image has")
                        copy.write(chunk)
                except MALFORMED as error:
                    raise ImageContentError(f"{path} cannot be unpacked: {error}") from error
            copy.flush()
            os.dup2(copy.fileno(), self._handle, inheritable=False)


class _Window(io.RawIOBase):
    """A part of a file, read at its own position, so that threads can read at once."""

    def __init__(self, owner: Archive, handle: int, offset: int, size: int) -> None:
        self._owner = owner  # whose end would close the handle
        self._handle, self._offset, self._size = handle, offset, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        size = min(len(view), max(self._size - self._position, 0))
        done = os.preadv(self._handle, [view[:size]], self._offset + self._position)
        self._position += done
        return done


def _inside(start: str, path: str) -> str:
    """Join paths; the result has no ".", no ".." and no leading slash, and stays inside."""
    parts = start.split("/") if start else []
    if path.startswith("/") or "\0" in path:
        raise ImageContentError(f"{path!r} leads out of the image")
    for part in path.split("/"):
        if part == ".." and not parts:
            raise ImageContentError(f"{path!r} leads out of the image")
        if part == "..":
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)

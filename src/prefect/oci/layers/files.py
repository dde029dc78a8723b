"""Files of layers: one of one layer, or a merged view of those that are asked for of an image."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, TypeVar

from prefect.errors import ImageContentError
from prefect.oci.layers.unpacking import walk

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from prefect.oci.images import Image, Layer

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"  # layer.md, Whiteouts
_MOST_LINKS = 40  # as Linux allows on one path
_LARGEST_FILE = 1 << 27  # bytes
# Bytes of files and paths that are kept in memory, of one image: some hundred times what is usual.
_MOST_KEPT = 1 << 29
_OVERHEAD = 200  # of what is kept of a path, whatever its length
_V = TypeVar("_V")


def read_from_layer(layer: Layer, path: str, limit: int) -> bytes | None:
    """Return a file of one layer, once every digest of the layer was compared; None if it has none.

    No other layer is read, and no link followed.

    Args:
        limit: of what is read of the layer, packed and unpacked, in bytes.

    Raises:
        ImageContentError: the layer is larger or malformed, is not what its digests promise, has
            the path twice, or something else than a file there.
        ImageError: the layer is in a container engine only.
        OSError: it cannot be read.
    """
    if layer.blob is not None and layer.blob.size > limit:
        raise ImageContentError(
            f"The layer {layer.diff_id} has {layer.blob.size} bytes; at most {limit} are read of it"
        )
    wanted = _rooted(path)
    content = None
    for member, reader in walk(layer, limit=limit):
        name = _rooted(member.path)
        above = wanted.startswith(f"{name}/")
        if (name != wanted and not above) or (above and member.kind == "directory"):
            continue
        if content is not None or member.kind != "file" or above:
            raise ImageContentError(
                f"The layer {layer.diff_id} has {name!r} twice, or as something else than a file"
            )
        content = b"".join(iter(reader.read, b""))
    return content


class LayerFiles:
    """The files of an image whose paths match a pattern, and every symbolic link.

    Layers are read one after the other, from the base up, when `read_layers` is iterated over.

    Args:
        wanted: matches the paths, without a leading slash, of the files to be kept in memory.
    """

    def __init__(self, image: Image, wanted: re.Pattern[str]) -> None:
        self._image = image
        self._wanted = wanted
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._kept = 0

    def read_layers(self) -> Iterator[None]:
        """Read the next layer; what its files are is then known.

        Raises:
            ImageContentError: a layer is malformed, or is not what its digests say.
            ImageError: a container engine alone has a layer.
        """
        for layer in self._image.layers:
            self._read(layer)
            yield

    def follow(self, path: str) -> str | None:
        """Return the absolute path of the file that a path leads to, or None if there is none."""
        parts = path.split("/")[::-1]
        real = ""
        links = 0
        while parts:
            part = parts.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                real = posixpath.dirname(real)
                continue
            real = f"{real}/{part}" if real else part
            if real in self._links:
                links += 1
                if links > _MOST_LINKS:
                    return None
                target = self._links[real]
                real = "" if target.startswith("/") else posixpath.dirname(real)
                parts += target.split("/")[::-1]
        return f"/{real}" if real in self._files else None

    def read(self, path: str) -> bytes:
        """Return a file's content.

        Raises:
            FileNotFoundError: there is no such file among those that were wanted.
        """
        real = self.follow(path)
        if real is None:
            raise FileNotFoundError(path)
        return self._files[real.removeprefix("/")]

    def _read(self, layer: Layer) -> None:
        files: dict[str, bytes] = {}
        links: dict[str, str] = {}
        gone: set[str] = set()  # with all that is below them
        directories = {""}
        for member, reader in walk(layer):
            path = _rooted(member.path)
            directory, _, name = path.rpartition("/")
            self._keep(len(path) + len(member.link) + _OVERHEAD)
            self._keep(_add_with_parents(directories, directory))
            if name.startswith(_WHITEOUT):
                hidden = "" if name == _OPAQUE else name.removeprefix(_WHITEOUT)
                gone.add(posixpath.join(directory, hidden).rstrip("/"))
                continue
            if member.kind == "directory":
                directories.add(path)
                continue
            gone.add(path)
            if member.kind == "symlink":
                links[path] = member.link
            elif member.kind == "hardlink":
                target = _rooted(member.link)
                if (linked := files.get(target, self._files.get(target))) is not None:
                    files[path] = linked
            elif member.kind == "file" and self._wanted.search(path):
                if member.size > _LARGEST_FILE:
                    raise ImageContentError(f"{path} in the layer {layer.diff_id} is too large")
                self._keep(member.size)
                files[path] = b"".join(iter(reader.read, b""))
        self._files = _left(self._files, gone, directories) | files
        self._links = _left(self._links, gone, directories) | links

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > _MOST_KEPT:
            raise ImageContentError("The layers have far more paths and files than an image has")


def _rooted(path: str) -> str:
    """Return a path from the root on; one that leads above the root stays there, as in a container."""
    return posixpath.normpath(f"/{path}").lstrip("/")


def _add_with_parents(directories: set[str], directory: str) -> int:
    """Add a directory of the layer, whether it lists it or not; return the bytes that this takes."""
    size = 0
    while directory not in directories:
        directories.add(directory)
        size += len(directory) + _OVERHEAD
        directory = posixpath.dirname(directory)
    return size


def _left(known: dict[str, _V], gone: set[str], directories: set[str]) -> dict[str, _V]:
    """Return what a layer leaves of those below it: a link where it has a directory is replaced."""

    def stays(path: str) -> bool:
        parts = path.split("/")
        ways = ("", *("/".join(parts[:end]) for end in range(1, len(parts) + 1)))
        return path not in directories and gone.isdisjoint(ways)

    return {path: value for path, value in known.items() if stays(path)}

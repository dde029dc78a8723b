"""Reading files of an image out of its layers. Nothing is unpacked, and nothing executed."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from prefect.errors import ImageContentError
from prefect.oci.unpacking import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.oci.images import Image, Layer
    from prefect.oci.tars import Member

LIMIT = 16 << 20  # bytes
_LINKS = 40  # as Linux follows
_FOUND = 10_000
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"  # layer.md, Whiteouts


def read_from_layer(layer: Layer, path: str, limit: int = LIMIT) -> bytes | None:
    """Return a file of one layer, once every digest of the layer was compared; None if it has none.

    No other layer is read, and of this one no more than `limit` bytes, packed or unpacked. No
    link is followed.

    Raises:
        ImageContentError: the layer is larger or malformed, is not what its digests promise, has
            the path twice, or something else than a file there.
        ImageError: the layer is in an engine only.
        OSError: it cannot be read.
    """
    if layer.blob is not None and layer.blob.size > limit:
        raise ImageContentError(
            f"The layer {layer.diff_id} has {layer.blob.size} bytes; at most {limit} are read of it"
        )
    wanted = _parts(path)
    names = {"/".join(wanted[: end + 1]) for end in range(len(wanted))}
    content = None
    for member, reader in walk(layer, limit=limit):
        name = "/".join(_parts(member.path))
        if name not in names or (member.kind == "directory" and name != "/".join(wanted)):
            continue
        if content is not None or member.kind != "file" or name != "/".join(wanted):
            raise ImageContentError(
                f"The layer {layer.diff_id} has {name!r} twice, or as something else than a file"
            )
        content = b"".join(iter(reader.read, b""))
    return content


def read_file(image: Image, path: str, *, limit: int = LIMIT) -> bytes:
    """Return a file of an image as its containers see it, links within the image followed.

    Layers are read from the top down to the one that has the file. A path through a symbolic link
    of a lower layer is found in an upper one only as that one writes it.

    limit: the greatest size of the file, in bytes.

    Raises:
        FileNotFoundError: the image does not have it.
        ImageContentError: it is no file, or a larger one; or a layer is malformed, or is not what
            its digests promise.
        ImageError: a layer that has to be read is in an engine only.
        OSError: a layer cannot be read.
    """
    layers = image.layers
    parts = _parts(path)
    for _ in range(_LINKS):
        found = _look_up(layers, parts, limit)
        if found is None:
            raise FileNotFoundError(path)
        member, depth = found.member, found.depth
        if depth == len(parts) and member.kind == "file":
            if found.content is None:
                raise ImageContentError(f"{path!r} has {member.size} bytes, more than {limit}")
            return found.content
        if depth == len(parts) and member.kind == "hardlink":
            # It is a name of what the same layer has, or one below it.
            layers, parts = layers[: found.layer + 1], _parts(member.link)
        elif member.kind == "symlink":
            start = [] if member.link.startswith("/") else parts[: depth - 1]
            parts = _parts("/".join([*start, member.link, *parts[depth:]]))
        elif depth == len(parts):
            raise ImageContentError(f"{path!r} is no file in the image, but a {member.kind}")
        else:
            raise FileNotFoundError(path)  # below a file
    raise ImageContentError(f"{path!r} leads through too many links in the image")


def find(image: Image, pattern: str) -> list[str]:
    """Return the sorted paths of an image that match a pattern such as "usr/lib/*/libc.so.6".

    Everything that a container sees counts: files, directories and links, which are not followed.
    A "*" also stands for slashes. Every layer is read to its end.

    Raises:
        ImageContentError: a layer is malformed, or is not what its digests promise; or far too
            many paths match.
        ImageError: a layer is in an engine only.
        OSError: a layer cannot be read.
    """
    found: set[str] = set()
    gone: set[str] = set()  # with all that lower layers have in them
    for layer in reversed(image.layers):
        hides, here = set(), set()
        for member, _ in walk(layer):
            parts = _parts(member.path)
            name = "/".join(parts)
            if not parts:
                continue
            if parts[-1] == OPAQUE:
                hides.add("/".join(parts[:-1]) + "/")
            elif parts[-1].startswith(WHITEOUT):
                hides.add("/".join([*parts[:-1], parts[-1].removeprefix(WHITEOUT)]))
            else:
                if member.kind != "directory":
                    hides.add(f"{name}/")
                if fnmatchcase(name, pattern) and not _hidden(parts, gone):
                    here.add(name)
        found |= here
        gone |= hides
        if len(found) > _FOUND:
            raise ImageContentError(f"More than {_FOUND} paths match {pattern!r} in the image")
    return sorted(found)


@dataclass(slots=True)
class _Found:
    """What a path, or the beginning of it that `depth` parts make, is in a layer."""

    member: Member
    depth: int
    layer: int
    content: bytes | None = None


@dataclass(slots=True)
class _Scan:
    """What one layer says of a path: by the number of parts that name it."""

    found: dict[int, _Found] = field(default_factory=dict)
    hidden: int = 1 << 30  # paths of so many parts, in layers below, are not seen


def _look_up(layers: Sequence[Layer], parts: list[str], limit: int) -> _Found | None:
    """Find the path, or what stands in the way of it, in the topmost layer that has it."""
    visible = len(parts)  # of how many parts a path may have to be seen in this layer
    directories = 0  # of how many parts are those that a layer above made directories
    for number in reversed(range(len(layers))):
        scan = _scan(layers[number], number, parts, limit)
        made = directories
        for depth in range(1, visible + 1):
            found = scan.found.get(depth)
            if found and (depth == len(parts) or found.member.kind != "directory"):
                if depth > directories:
                    return found
                scan.hidden = min(scan.hidden, depth + 1)  # replaced, with all below it
            elif found:
                made = max(made, depth)
        directories = made
        visible = min(visible, scan.hidden - 1)
        if not visible:
            return None
    return None


def _scan(layer: Layer, number: int, parts: list[str], limit: int) -> _Scan:
    scan = _Scan()
    for member, reader in walk(layer):
        own = _parts(member.path)
        depth = len(own)
        if not own or depth > len(parts) + 1 or own[:-1] != parts[: depth - 1]:
            continue
        hiding = {OPAQUE} | {WHITEOUT + part for part in parts[depth - 1 : depth]}
        if own[-1] in hiding:
            scan.hidden = min(scan.hidden, depth)
        elif own == parts[:depth]:
            if depth in scan.found:
                raise ImageContentError(f"The layer {layer.diff_id} has {member.path!r} twice")
            scan.found[depth] = found = _Found(member, depth, number)
            if depth == len(parts) and member.kind == "file" and member.size <= limit:
                found.content = b"".join(iter(reader.read, b""))
    return scan


def _hidden(parts: list[str], gone: set[str]) -> bool:
    ways = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    return any(way in gone for way in ways) or any(f"{way}/" in gone for way in ("", *ways[:-1]))


def _parts(path: str) -> list[str]:
    """Take a path apart; one that leads above the root stays there, as in a container."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return parts

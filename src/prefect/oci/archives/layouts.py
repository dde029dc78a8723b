"""Reading OCI image layouts, in a directory or in an archive (image-layout.md, image-index.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError, ImageError
from prefect.oci.digests import read_verified
from prefect.oci.documents import parse_object
from prefect.oci.images import INDEXES, Blob
from prefect.oci.manifests import (
    CONFIG_BYTES,
    DOCUMENT_BYTES,
    entries_of,
    parse_document,
    read_image,
)
from prefect.oci.references import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prefect.oci.archives.sources import FileSource
    from prefect.oci.documents import Descriptor
    from prefect.oci.images import Image
    from prefect.oci.platforms import Platform

MARKER, INDEX = "oci-layout", "index.json"
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"  # where docker and containerd keep the whole name
_VERSION = "1.0.0"
MARKING = {"imageLayoutVersion": _VERSION}


def read_layout(source: FileSource, platform: Platform | None, name: str | None) -> Image:
    """Read one image of a layout: manifest and config at once, layers when somebody reads them.

    Args:
        platform: None means the only one there is, else this machine's.
        name: None means the only one there is.

    Raises:
        ImageContentError: the layout is malformed, or its bytes are not what digests promise.
        ImageError: there is no image of this name or platform; the message says which there are.
        OSError: it cannot be read.
    """
    return read_image(
        named(index_of(source), labels, name),
        platform,
        lambda of: read_verified(open_blob(source, of), CONFIG_BYTES),
        lambda of: open_blob(source, of).open,
        absent,
    )


def absent(wanted: Platform, there: Sequence[Platform]) -> ImageError:
    """Return the error for when a file has no image for a platform.

    Args:
        there: the platforms for which it has some.
    """
    if not there:
        return ImageError("There is no image in it")
    known = ", ".join(map(str, there))
    return ImageError(f"There is no image for {wanted} in it, but there is one for: {known}")


def index_of(source: FileSource) -> list[Descriptor]:
    """Return what the layout's index lists.

    Raises:
        ImageContentError: it is malformed.
        OSError: it cannot be read.
    """
    version = parse_object(_read(source, MARKER), MARKER).get("imageLayoutVersion")
    if version != _VERSION:
        raise ImageContentError(
            f"The image layout has version {version!r}, which is not {_VERSION}"
        )
    media_type, index = parse_document(_read(source, INDEX), "", INDEX)
    if media_type not in INDEXES:
        raise ImageContentError(f"{INDEX} is no index: its media type is {media_type}")
    return entries_of(index, INDEX)


def labels(of: Descriptor) -> Sequence[str]:
    """Return the names that an index has for an image, the whole one first."""
    return [of.annotations[key] for key in (FULL_NAME, REF_NAME) if key in of.annotations]


def named(
    listed: Sequence[Any], names: Callable[[Any], Sequence[str]], name: str | None
) -> list[Any]:
    """Return those of the listed images that have a name, or all if all have one name.

    Args:
        names: gives an image's names.

    Raises:
        ImageError: none has it; or none was asked for, and there are several.
    """
    if name is not None:
        if chosen := [each for each in listed if any(same(n, name) for n in names(each))]:
            return chosen
        raise ImageError(f"There is no image named {name!r} in it, but {_shown(listed, names)}")
    if len({tuple(names(each))[:1] for each in listed}) > 1:
        known: dict[tuple[str, ...], list[Any]] = {}
        for each in listed:
            known.setdefault(tuple(names(each))[:1], []).append(
                getattr(each, "digest", None) or each
            )
        first, *rest = known.values()
        if any(each != first for each in rest):  # else they are names of one image
            raise ImageError(
                f"Several images are in it: name one. There is {_shown(listed, names)}"
            )
    return list(listed)


def same(name: str, other: str) -> bool:
    """Tell whether two names mean the same image: `demo`, `docker.io/library/demo:latest`."""
    try:
        return name == other or Reference.parse(name) == Reference.parse(other)
    except ValueError:
        return False


def open_blob(source: FileSource, of: Descriptor) -> Blob:
    """Return a blob of a layout.

    Raises:
        ImageContentError: it is not there, or has another size.
    """
    stored = source.file("blobs/" + of.digest.replace(":", "/"))
    if stored is None:
        raise ImageContentError(f"The blob {of.digest} is missing")
    if stored.size != of.size:
        raise ImageContentError(
            f"The blob {of.digest} has {stored.size} bytes, but {of.size} were promised"
        )
    return Blob(of.media_type, of.digest, of.size, stored.open)


def _read(source: FileSource, path: str) -> bytes:
    stored = source.file(path)
    if stored is None:
        raise ImageContentError(f"{path} is missing")
    return stored.read(DOCUMENT_BYTES, path)


def _shown(listed: Iterable[Any], names: Callable[[Any], Sequence[str]]) -> str:
    every = sorted({repr(n) for each in listed for n in names(each)[:1]}) or ["none with a name"]
    return ", ".join(every[:20]) + (" and more" if len(every) > 20 else "")  # noqa: PLR2004

"""Reading OCI image layouts, in a directory or in an archive (image-layout.md, image-index.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError, ImageError
from prefect.oci.digests import read_verified
from prefect.oci.documents import (
    JSON_LIMIT,
    Descriptor,
    check_config,
    descriptor,
    expect,
    parse_object,
)
from prefect.oci.images import (
    DOCKER_CONFIG,
    INDEXES,
    MANIFESTS,
    OCI_CONFIG,
    Blob,
    Image,
    from_manifest,
)
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from prefect.oci.archives.sources import FileSource

MARKER, INDEX = "oci-layout", "index.json"
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"  # where docker and containerd keep the whole name
_VERSION = "1.0.0"
MARKING = {"imageLayoutVersion": _VERSION}
_DEPTH = 8  # of indexes in indexes
_MANIFESTS = 1000  # of one name
_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})


@dataclass(frozen=True, slots=True)
class _Found:
    """A manifest in an index, for a platform if that is known without reading its config."""

    descriptor: Descriptor
    platform: Platform | None


def read_layout(source: FileSource, platform: Platform | None, name: str | None) -> Image:
    """Read one image of a layout: manifest and config at once, layers when somebody reads them.

    platform: None means the only one there is, else this machine's.
    name: None means the only one there is.

    Raises:
        ImageContentError: the layout is malformed, or its bytes are not what digests promise.
        ImageError: there is no image of this name or platform; the message says which there are.
        OSError: it cannot be read.
    """
    found = list(_manifests(source, choose(index_of(source), labels, name)))
    known = [(each, each.platform or _platform(source, each.descriptor)) for each in found]
    images = [(each, its) for each, its in known if its is not None]
    if not images:
        raise ImageError("There is no image in it")
    wanted = platform
    if wanted is None and len({its for _, its in images}) > 1:
        wanted = Platform.of_host()
    for each, its in images:  # of several that fit, the first (image-index.md)
        if wanted in {None, its}:
            image = _image(source, each.descriptor)
            own = image.platform
            # Old images for ARM leave the variant to the index.
            if (its.os, its.architecture) != (own.os, own.architecture):
                raise ImageContentError(
                    f"An index says that {each.descriptor.digest} is for {its}, but its config "
                    f"says {own}"
                )
            return image
    there = ", ".join(sorted({str(its) for _, its in images}))
    raise ImageError(f"There is no image for {wanted} in it, but there is one for: {there}")


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
    return _listed(parse_object(_read(source, INDEX), INDEX), INDEX)


def labels(of: Descriptor) -> Sequence[str]:
    """Return the names that an index has for an image, the whole one first."""
    return [of.annotations[key] for key in (FULL_NAME, REF_NAME) if key in of.annotations]


def choose(
    listed: Sequence[Any], names: Callable[[Any], Sequence[str]], name: str | None
) -> list[Any]:
    """Return those of the listed images that have a name, or all if all have one name.

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


def _manifests(source: FileSource, listed: Iterable[Descriptor]) -> Iterator[_Found]:
    """Give the manifests of images, also out of indexes within."""
    count = 0
    todo = [(each, 0) for each in listed]
    while todo:
        each, depth = todo.pop(0)
        count += 1
        if count > _MANIFESTS or depth > _DEPTH:
            raise ImageContentError("An image index lists far too many manifests")
        if each.media_type in INDEXES:
            inner = parse_object(_document(source, each), f"The index {each.digest}")
            todo[:0] = [(d, depth + 1) for d in _listed(inner, f"The index {each.digest}")]
        elif each.media_type in MANIFESTS and not _attests(each):
            yield _Found(each, each.platform)


def _attests(of: Descriptor) -> bool:
    # What BuildKit knows of an image's origin is listed beside it, as an image for no platform.
    return of.platform is not None and of.platform.os == "unknown"


def _listed(index: Mapping[str, Any], what: str) -> list[Descriptor]:
    if "layers" in index or "config" in index:  # CVE-2021-41190
        raise ImageContentError(f"{what} is an index and a manifest at once")
    return [
        descriptor(each, f"An entry of {what}")
        for each in expect(index.get("manifests"), list, f"{what}'s manifests")
    ]


def _platform(source: FileSource, of: Descriptor) -> Platform | None:
    """Return what an image's config says that it is for; None if it is no image."""
    manifest = parse_object(_document(source, of), f"The manifest {of.digest}")
    config = descriptor(manifest.get("config"), f"The config of {of.digest}")
    return _image(source, of).platform if config.media_type in _CONFIGS else None


def _image(source: FileSource, of: Descriptor) -> Image:
    what = f"The manifest {of.digest}"
    raw = _document(source, of)
    manifest = parse_object(raw, what)
    if "manifests" in manifest:  # CVE-2021-41190
        raise ImageContentError(f"{what} is an index and a manifest at once")
    if manifest.get("mediaType", of.media_type) != of.media_type:
        raise ImageContentError(f"{what} is not of the type that its index says")
    if manifest.get("schemaVersion") != 2:  # noqa: PLR2004
        raise ImageContentError(f"{what} has a schemaVersion that is not 2")
    about = descriptor(manifest.get("config"), f"The config of {of.digest}")
    config = _document(source, about)
    check_config(config, f"The config {about.digest}")
    listed = [
        descriptor(each, f"A layer of {of.digest}")
        for each in expect(manifest.get("layers"), list, f"{what}'s layers")
    ]
    blobs = {each.digest: open_blob(source, each) for each in listed}

    def opener(layer: Mapping[str, Any]) -> Callable[[], BinaryIO]:
        return blobs[layer["digest"]].open

    return from_manifest(raw, config, opener, media_type=of.media_type)


def _document(source: FileSource, of: Descriptor) -> bytes:
    return read_verified(open_blob(source, of), JSON_LIMIT)


def _read(source: FileSource, path: str) -> bytes:
    stored = source.file(path)
    if stored is None:
        raise ImageContentError(f"{path} is missing")
    return stored.read(JSON_LIMIT, path)


def _shown(listed: Iterable[Any], names: Callable[[Any], Sequence[str]]) -> str:
    every = sorted({repr(n) for each in listed for n in names(each)[:1]}) or ["none with a name"]
    return ", ".join(every[:20]) + (" and more" if len(every) > 20 else "")  # noqa: PLR2004

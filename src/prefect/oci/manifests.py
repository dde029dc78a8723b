"""Image manifests and indexes, read in one way whoever has them: a registry, a layout, an archive.

What they are, which of several images is taken, and how much is read at most. The rules are those
of the OCI image specification 1.1 and of Docker's image manifest 2.2; the choice of a platform is
containerd's (`Platform.preference`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from prefect.errors import ImageContentError
from prefect.frozen import frozen
from prefect.oci.documents import (
    Descriptor,
    check_config,
    descriptor,
    expect,
    parse_object,
    platform_of,
)
from prefect.oci.images import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFESTS,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    from_manifest,
)
from prefect.oci.platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from prefect.oci.images import Image

    Read = Callable[[Descriptor], bytes]
    Opener = Callable[[Descriptor], Callable[[], BinaryIO]]
    Absent = Callable[[Platform, Sequence[Platform]], Exception]

ACCEPTED = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_INDEX}"

# What is read at most of what nobody has reason to trust.
DOCUMENT_BYTES = 4 << 20  # of a manifest or an index: registries need not take larger ones
CONFIG_BYTES = 8 << 20  # of a config, which holds the history of all layers
INDEX_DEPTH = 4  # indexes within one another
INDEX_ENTRIES = 1000  # manifests and indexes under one name

# The last: of images that Docker 1.10 pushed.
_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG, "application/octet-stream"})
_UNKNOWN = "unknown"  # the platform of what BuildKit attests of an image, listed beside it
_T = TypeVar("_T")


@frozen
class _Candidate:
    """An image that may be taken.

    Args:
        platform: what its index says, else its config.
        opened: its manifest and config, if they were read for that.
    """

    descriptor: Descriptor
    platform: Platform
    opened: tuple[bytes, bytes] | None = None


def read_image(
    listed: Sequence[Descriptor],
    wanted: Platform | None,
    read: Read,
    opener: Opener,
    absent: Absent,
) -> Image:
    """Read the image for a platform out of what has its name: a manifest, an index or several.

    Indexes within indexes are followed, and what is no image (attestations, other artifacts) is
    passed over. An image whose index names no platform has its config read for it.

    Args:
        listed: what has the name.
        wanted: None means the only platform there is, else this machine's.
        read: gives the bytes of a manifest, an index or a config, and has verified them.
        opener: gives for a layer what opens its bytes.
        absent: makes the error for when there is no such image, of the platform that was wanted and
            of those there are.

    Raises:
        ImageContentError: a document is malformed, too large, or not for the platform that the
            index says.
        Exception: what `read`, `opener` and `absent` raise or make.
    """
    found = [
        candidate for each in _manifests(listed, read) if (candidate := _candidate(each, read))
    ]
    chosen = choose(found, lambda each: each.platform, wanted, absent)
    about, its = chosen.descriptor, chosen.platform
    manifest, config = chosen.opened or _open(about, read)[1:]
    own = platform_of(check_config(config, f"The config of {about.digest}"), about.digest)
    # Old images for ARM leave the variant to the index.
    if (its.os, its.architecture) != (own.os, own.architecture):
        raise ImageContentError(
            f"An index says that {about.digest} is for {its}, but its config says {own}"
        )

    def open_layer(layer: Mapping[str, Any]) -> Callable[[], BinaryIO]:
        return opener(descriptor(layer, f"A layer of {about.digest}"))

    return from_manifest(manifest, config, open_layer, media_type=about.media_type)


def choose(
    found: Sequence[_T],
    platform: Callable[[_T], Platform],
    wanted: Platform | None,
    absent: Absent,
) -> _T:
    """Return the image that suits a platform best; of equals the first (image-index.md).

    Args:
        platform: gives an image's.
        wanted: None means the only platform there is, else this machine's.
        absent: makes the error for when nothing suits, of the platform that was wanted and of those
            there are.

    Raises:
        Exception: what `absent` makes.
    """
    there = sorted({platform(each) for each in found}, key=str)
    if wanted is None:
        wanted = there[0] if len(there) == 1 else Platform.of_host()
    ranked = [
        (rank, each) for each in found if (rank := wanted.preference(platform(each))) is not None
    ]
    if not ranked:
        raise absent(wanted, there)
    return min(ranked, key=lambda pair: pair[0])[1]


def parse_document(data: bytes, content_type: str, name: str) -> tuple[str, dict[str, Any]]:
    """Return media type and JSON of a manifest or index.

    Args:
        content_type: that of the answer or descriptor which it came by, and which has to agree with
            what the JSON says of itself; "" if nothing says.
        name: of the image, for errors.

    Raises:
        ImageContentError: it is neither, or could be taken for both.
    """
    document = parse_object(data, f"The manifest of {name}")
    # Some layouts' index.json has none; the schema that is not read always has one.
    version = document.get("schemaVersion", 2 if "manifests" in document else None)
    if version != 2:  # noqa: PLR2004
        raise ImageContentError(
            f"The manifest of {name} has schema version {str(version)[:20]}: "
            "only 2 is read. The old schema 1 is converted by pulling and pushing the image again "
            "with a current docker or podman"
        )
    known = INDEXES | MANIFESTS
    says, given = document.get("mediaType"), content_type.partition(";")[0].strip()
    types = {kind for kind in (says, given) if isinstance(kind, str) and kind in known}
    if says is None and not types:  # optional in the OCI's, and not every server knows its type
        types = {OCI_INDEX if "manifests" in document else OCI_MANIFEST}
    if len(types) != 1 or (says is not None and says not in known):
        raise ImageContentError(
            f"{name} is no image: its media type is {str(says)[:80]}, sent as {given[:80]}"
        )
    media_type = types.pop()
    # One that could be either would be two things under one digest (CVE-2021-41190).
    parts = ("manifests",) if media_type in INDEXES else ("config", "layers")
    others = {"manifests", "config", "layers"} - set(parts)
    if not all(part in document for part in parts) or others & document.keys():
        raise ImageContentError(f"The manifest of {name} has not the members of its media type")
    return media_type, document


def entries_of(index: Mapping[str, Any], name: str) -> list[Descriptor]:
    """Return what an index lists.

    Args:
        name: of the image, for errors.

    Raises:
        ImageContentError: an entry is malformed.
    """
    what = f"The index of {name}"
    return [descriptor(each, what) for each in expect(index.get("manifests"), list, what)]


def _manifests(listed: Sequence[Descriptor], read: Read) -> Iterator[Descriptor]:
    """Give the manifests of images, also out of indexes within, in their order."""
    count = 0
    todo = [(each, 0) for each in listed]
    while todo:
        each, depth = todo.pop(0)
        count += 1
        if count > INDEX_ENTRIES:
            raise ImageContentError(f"An image index lists more than {INDEX_ENTRIES} manifests")
        if each.media_type in INDEXES:
            if depth == INDEX_DEPTH:
                raise ImageContentError(
                    f"{each.digest} is an index of indexes in more than {INDEX_DEPTH} steps: refused"
                )
            inner = _document(each, read)
            todo[:0] = [(one, depth + 1) for one in entries_of(inner, each.digest)]
        elif each.media_type in MANIFESTS and not _attests(each):
            yield each


def _attests(of: Descriptor) -> bool:
    return of.platform is not None and _UNKNOWN in {of.platform.os, of.platform.architecture}


def _document(of: Descriptor, read: Read) -> dict[str, Any]:
    return parse_document(_limited(of, read, DOCUMENT_BYTES), of.media_type, of.digest)[1]


def _candidate(of: Descriptor, read: Read) -> _Candidate | None:
    """Return an image; None if it is another artifact, such as a chart."""
    if of.platform is not None:
        return _Candidate(of, of.platform)
    kind, manifest, config = _open(of, read)
    if kind not in _CONFIGS:
        return None
    what = f"The config of {of.digest}"
    return _Candidate(of, platform_of(check_config(config, what), what), (manifest, config))


def _open(of: Descriptor, read: Read) -> tuple[str, bytes, bytes]:
    """Return what a manifest's config is of, the manifest, and the config."""
    manifest = _limited(of, read, DOCUMENT_BYTES)
    _, document = parse_document(manifest, of.media_type, of.digest)
    about = descriptor(document["config"], "The config of a manifest")
    return about.media_type, manifest, _limited(about, read, CONFIG_BYTES)


def _limited(of: Descriptor, read: Read, limit: int) -> bytes:
    if of.size > limit:
        raise ImageContentError(
            f"{of.digest} of {of.size} bytes is refused: at most {limit} are read of such"
        )
    return read(of)

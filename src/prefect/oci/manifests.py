"""Manifests and indexes as registries give them: what they are, and which platform's to take.

The rules are those of the OCI image specification 1.1, and of Docker's image manifest 2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError, RegistryNotFoundError
from prefect.oci.documents import Descriptor, descriptor, expect, parse_object
from prefect.oci.images import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of,
)
from prefect.oci.platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCEPTED = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_INDEX}"

_IMPLIED = {"amd64": "v1", "arm": "v7", "arm64": "v8"}  # variants, where none is told
_UNKNOWN = Platform("unknown", "unknown")  # of attestations and the like


def require_bytes(data: bytes, of: Descriptor, what: str) -> None:
    """Compare bytes with what was said of them.

    Raises:
        ImageContentError: they are other ones.
    """
    if len(data) != of.size or digest_of(data) != of.digest:
        raise ImageContentError(
            f"The registry sent other bytes than {what} has by its digest and size: "
            f"{digest_of(data)}, {len(data)} bytes, instead of {of.digest}, {of.size} bytes"
        )


def parse_document(data: bytes, content_type: str, name: str) -> tuple[str, dict[str, Any]]:
    """Return media type and JSON of a manifest or index.

    content_type: of the answer, which has to agree with what the JSON says of itself.
    name: of the image, for errors.

    Raises:
        ImageContentError: it is neither, or could be taken for both.
    """
    document = parse_object(data, f"The manifest of {name}")
    if document.get("schemaVersion") != 2:  # noqa: PLR2004
        raise ImageContentError(
            f"The manifest of {name} has schema version {str(document.get('schemaVersion'))[:20]}: "
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


def choose(index: Mapping[str, Any], wanted: Platform, name: str) -> Descriptor:
    """Return the descriptor of the image for a platform.

    A processor runs what is made for earlier variants of its kind: the latest of those is taken.
    Without a variant, and with nothing for the plain architecture, the earliest one will do; not
    so of 32-bit ARM, whose variants differ more.

    Raises:
        RegistryNotFoundError: there is none; the message lists those there are.
        ImageContentError: the index is malformed.
    """
    what = f"The index of {name}"
    listed = [descriptor(each, what) for each in expect(index.get("manifests"), list, what)]
    found = [
        (each.platform, each)
        for each in listed
        if each.platform is not None and each.platform != _UNKNOWN
    ]
    same = [(p, d) for p, d in found if (p.os, p.architecture) == (wanted.os, wanted.architecture)]
    for platform, each in same:
        if platform.variant == wanted.variant:
            return each
    if fitting := [pair for pair in same if _level(pair[0]) <= _level(wanted)]:
        return max(fitting, key=lambda pair: _level(pair[0]))[1]
    if same and not wanted.variant and wanted.architecture != "arm":
        return min(same, key=lambda pair: _level(pair[0]))[1]
    there = ", ".join(sorted({str(platform) for platform, _ in found})) or "none at all"
    raise RegistryNotFoundError(
        f"{name} has no image for {wanted}. It has some for: {there}. Choose one of these platforms"
    )


def _level(platform: Platform) -> str:
    """Return the variant by which images of one architecture are ordered."""
    return platform.variant or _IMPLIED.get(platform.architecture, "")

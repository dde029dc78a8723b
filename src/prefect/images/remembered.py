"""What the store remembers of flow images: the manifest, by the image's id, which names its content."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.oci.cache.store import Store

_LARGEST = 1 << 20  # bytes: manifests are far smaller


def remember_manifest(store: Store, image: str, manifest: bytes) -> None:
    """Have the manifest of the flow in an image at hand for who looks into that, by the image's id."""
    with suppress(UnicodeDecodeError):  # then it is no manifest, as who reads it will say
        if len(manifest) <= _LARGEST:
            store.remember(_key(image), manifest.decode())


def remembered_manifest(store: Store, image: str) -> bytes | None:
    """Return the manifest of the flow in an image, if that is remembered."""
    known = store.recall(_key(image))
    return known.encode() if isinstance(known, str) else None


def _key(image: str) -> str:
    return f"manifest in the image {image}"

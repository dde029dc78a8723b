"""What the store remembers of images: their manifests, the flow's and their own, by what names them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from prefect.errors import ImageError
from prefect.frozen import replace
from prefect.oci.images import from_manifest
from prefect.oci.references import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.oci.cache.store import Store
    from prefect.oci.images import Image
    from prefect.oci.platforms import Platform

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


def remember_image(
    store: Store, reference: Reference, platform: Platform | None, image: Image
) -> None:
    """Keep what a registry has under a name: the image's manifest and config, and none of its layers.

    Args:
        reference: the name, by tag or by digest.
        platform: that was asked for, of an image for several.
    """
    if image.manifest is not None and image.reference is not None:
        texts = [image.media_type, image.manifest.decode(), image.config.decode()]
        named = image.named_digest or ""
        store.remember(_image_key(reference, platform), [*texts, str(image.reference), named])


def remembered_image(
    store: Store, reference: Reference, platform: Platform | None, max_age: float | None = None
) -> Image | None:
    """Return what a registry has under a name, if that is remembered; its layers are read from there.

    Args:
        max_age: in seconds, of what a tag is known to name; a digest names the same for ever.
    """
    age = None if reference.digest else max_age
    match store.recall(_image_key(reference, platform), max_age=age):
        case [str(media_type), str(manifest), str(config), str(name), str(named)]:
            by_digest = Reference.parse(name)
            image = from_manifest(
                manifest.encode(), config.encode(), lambda of: lambda: _blob(by_digest, of),
                media_type=media_type, reference=by_digest, origin=by_digest,
            )  # fmt: skip
            return replace(image, named_digest=named or None)
    return None


def _image_key(reference: Reference, platform: Platform | None) -> str:
    name = f"{reference.name}@{reference.digest}" if reference.digest else str(reference)
    return f"image {name} {platform or ''}"


def _blob(reference: Reference, descriptor: Mapping[str, Any]) -> BinaryIO:
    from prefect.oci.registry import client as registry  # noqa: PLC0415 - for what is not here alone

    for layer in registry.fetch(reference).layers:
        if layer.blob is not None and layer.blob.digest == descriptor["digest"]:
            return layer.blob.open()
    raise ImageError(f"The image {reference} lacks its layer {descriptor['digest']}")


def _key(image: str) -> str:
    return f"manifest in the image {image}"

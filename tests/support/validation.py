"""Checking an image as a whole: every digest and size is computed again, every layer unpacked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError
from prefect.oci.digests import DIGEST
from prefect.oci.documents import check_config, descriptor, expect, parse_object
from prefect.oci.images import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    MANIFESTS,
    OCI_CONFIG,
    OCI_LAYER,
    Image,
    Layer,
)
from prefect.oci.layers.unpacking import walk

if TYPE_CHECKING:
    from prefect.oci.documents import Descriptor

_OCI_LAYERS = frozenset(OCI_LAYER + packing for packing in ("", "+gzip", "+zstd"))
_DOCKER_LAYERS = frozenset(DOCKER_LAYER + packing for packing in ("", ".gzip", ".zstd"))


def validate(image: Image) -> None:
    """Check an image against the OCI image specification 1.1 (manifest.md, config.md, layer.md).

    Its layers are read from beginning to end, and none is held in memory.

    Raises:
        ImageContentError: something is wrong; the message names the first fault.
        ImageError: a layer is in a container engine only.
        OSError: a layer cannot be read.
    """
    config = check_config(image.config, "The config")
    diff_ids = config["rootfs"]["diff_ids"]
    if config["rootfs"].get("type") != "layers":
        raise ImageContentError("The config's rootfs is not of the type 'layers'")
    if diff_ids != [layer.diff_id for layer in image.layers]:
        raise ImageContentError(
            f"The config lists {len(diff_ids)} layers, which are not the {len(image.layers)} of "
            "the image"
        )
    if history := config.get("history"):
        own = [each for each in history if not each.get("empty_layer")]
        if len(own) != len(diff_ids):
            raise ImageContentError(
                f"The history tells of {len(own)} layers, but there are {len(diff_ids)}"
            )
    if image.manifest is not None:
        _check_manifest(image, parse_object(image.manifest, "The manifest"))
    for layer in image.layers:
        _check_layer(layer)


def _check_manifest(image: Image, manifest: dict[str, Any]) -> None:
    docker = image.media_type == DOCKER_MANIFEST
    # The OCI's may leave its type out, but images are recognised by it (manifest.md).
    if image.media_type not in MANIFESTS or manifest.get("mediaType") not in (
        {image.media_type} if docker else {image.media_type, None}
    ):
        raise ImageContentError(
            f"The manifest's type is {manifest.get('mediaType')!r}, the image's {image.media_type!r}"
        )
    if manifest.get("schemaVersion") != 2 or "manifests" in manifest:
        raise ImageContentError("The manifest is not one of schemaVersion 2")
    config = descriptor(manifest.get("config"), "The config's descriptor")
    _same(config, image.config_blob().descriptor(), "config")
    if config.media_type != (DOCKER_CONFIG if docker else OCI_CONFIG):
        raise ImageContentError(f"The config's type {config.media_type!r} is of another family")
    listed = [
        descriptor(each, "A layer's descriptor")
        for each in expect(manifest.get("layers"), list, "The manifest's layers")
    ]
    if len(listed) != len(image.layers):
        raise ImageContentError(
            f"The manifest lists {len(listed)} layers, but there are {len(image.layers)}"
        )
    for each, layer in zip(listed, image.layers, strict=True):
        if each.media_type not in (_DOCKER_LAYERS if docker else _OCI_LAYERS):
            raise ImageContentError(f"A layer's type {each.media_type!r} is of another family")
        if layer.blob is not None:
            _same(each, layer.blob.descriptor(), "layer")


def _same(said: Descriptor, found: dict[str, Any], what: str) -> None:
    stated = {"mediaType": said.media_type, "digest": said.digest, "size": said.size}
    for name, value in stated.items():
        if value != found[name]:
            raise ImageContentError(
                f"The manifest says of a {what} that its {name} is {value!r}; it is {found[name]!r}"
            )


def _check_layer(layer: Layer) -> None:
    if not DIGEST.fullmatch(layer.diff_id):
        raise ImageContentError(f"The diff_id {layer.diff_id!r} is not sha256:<64 hex>")
    seen = set()
    for member, _ in walk(layer):
        # Many write "./" before each path, and some "/" for the root itself.
        path = member.path.removeprefix("./").rstrip("/")
        if path in {"", "."} and member.kind == "directory":
            continue
        if not path or not _is_relative(path):
            raise ImageContentError(
                f"The layer {layer.diff_id} has {member.path!r}, which is no plain relative path"
            )
        if path in seen:  # which of them a container gets, depends on who unpacks (layer.md)
            raise ImageContentError(f"The layer {layer.diff_id} has {path!r} twice")
        seen.add(path)
        if member.kind == "hardlink" and {".."} & set(member.link.split("/")):
            raise ImageContentError(
                f"The layer {layer.diff_id} has {path!r}, a link to {member.link!r}, which leads "
                "out of the image"
            )


def _is_relative(path: str) -> bool:
    return not {"", ".", ".."} & set(path.split("/"))

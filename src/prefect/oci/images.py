"""Images as immutable values: a manifest, a config, layers, wherever their bytes are kept.

Sources (`registry`, `archive`, `daemon`) give an `Image`; `derive` makes a new one from it; sinks
(the same modules) take it. Nothing is read before somebody reads it: a layer is a digest, a size
and a way to open its bytes. Terms are those of the OCI image specification 1.1.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO

from prefect.errors import ImageContentError
from prefect.frozen import field, frozen, replace
from prefect.oci.platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from prefect.oci.references import Reference

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

_AS_OCI = {DOCKER_LAYER: OCI_LAYER, f"{DOCKER_LAYER}.gzip": f"{OCI_LAYER}+gzip"}

_EPOCH = "1970-01-01T00:00:00Z"
# What a container takes from its image's config. The rest describes how the image was made.
_SETTINGS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels",
    "StopSignal", "Healthcheck", "Shell",
)  # fmt: skip


@frozen
class Blob:
    """Bytes that are named by their digest, wherever they are.

    Args:
        media_type: what the bytes are, as manifests say it.
        digest: "sha256:" and 64 hexadecimal digits.
        size: in bytes.
        open: opens them for reading; who reads compares digest and size.
        origin: the repository of a registry that has them, from which that registry can mount them.
    """

    media_type: str
    digest: str
    size: int
    open: Callable[[], BinaryIO] = field(repr=False, compare=False)
    origin: Reference | None = field(default=None, compare=False)

    def descriptor(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@frozen
class Layer:
    """A layer of files.

    Args:
        diff_id: digest of the tar archive, not compressed.
        blob: the archive as it is stored, mostly compressed; None where a container engine has it
            unpacked.
    """

    diff_id: str
    blob: Blob | None = None


@frozen
class Image:
    """An image for one platform.

    Args:
        config: the raw JSON whose digest is the image's id.
        layers: from the base up.
        media_type: of its manifest, which tells whether it is of the OCI's or of Docker's family.
        manifest: the raw JSON whose digest names the image in registries; None if a layer has no
            blob.
        reference: where it comes from, by digest when that is known.
        named_digest: of what its name leads to in a registry, which may be an index of several
            platforms' images; None where it was not had by a name.
    """

    config: bytes
    layers: tuple[Layer, ...]
    media_type: str = OCI_MANIFEST
    manifest: bytes | None = None
    reference: Reference | None = None
    named_digest: str | None = None

    @property
    def id(self) -> str:
        """The digest of the config: what container engines call the image's id, save for containerd's."""
        return digest_of(self.config)

    @property
    def digest(self) -> str | None:
        """The digest of the manifest: the image's name in registries and in containerd's store."""
        return None if self.manifest is None else digest_of(self.manifest)

    @property
    def settings(self) -> dict[str, Any]:
        """What a container takes from the config: `Env`, `Entrypoint`, `User`, `Labels`, and so on."""
        return dict(json.loads(self.config).get("config") or {})

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the config."""
        return dict(self.settings.get("Labels") or {})

    @property
    def platform(self) -> Platform:
        """What it runs on."""
        config = json.loads(self.config)
        parts = (config.get("os"), config.get("architecture"), config.get("variant"))
        return Platform.parse("/".join(part for part in parts if part))

    def config_blob(self) -> Blob:
        """Return the config as a blob."""
        media_type = DOCKER_CONFIG if self.media_type == DOCKER_MANIFEST else OCI_CONFIG
        return blob_of(self.config, media_type)


def derive(
    base: Image,
    layers: Sequence[Layer],
    settings: Mapping[str, Any],
    *,
    comments: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Put layers on a base and change the settings of its containers.

    The result depends on the base's layers and settings, not on the clock or on where the base
    was found: its history says for each layer what it is, and nothing of when, and it is of the
    OCI's family also where the base is of Docker's, whose layers are the same bytes.

    Args:
        base: what the layers go on.
        layers: the new ones, from the base up.
        settings: the members of the config's `config` object that replace the base's.
        comments: for each new layer, what `docker history` says of it.
        annotations: of the manifest.
    """
    old = json.loads(base.config)
    kept = {key: value for key, value in base.settings.items() if key in _SETTINGS and value}
    every = (*map(_as_oci, base.layers), *layers)
    # One entry a layer, since the base's own are not told by every source.
    of_base = [{"created": _EPOCH, "created_by": "base image"} for _ in base.layers]
    own = [{"created": _EPOCH, "created_by": text} for text in comments]
    own += [{"created": _EPOCH} for _ in layers[len(own) :]]
    config = {
        "architecture": old["architecture"],
        "config": {key: value for key, value in {**kept, **settings}.items() if value},
        "created": _EPOCH,
        "history": of_base + own,
        "os": old["os"],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in every]},
    }
    if variant := base.platform.variant:
        config["variant"] = variant
    return with_manifest(canonical_json(config), every, annotations)


def with_manifest(
    config: bytes, layers: tuple[Layer, ...], annotations: Mapping[str, str] | None = None
) -> Image:
    """Put config and layers together, with a manifest of the OCI's family if all have blobs."""
    image = Image(config, layers)
    blobs = [layer.blob for layer in layers if layer.blob is not None]
    if len(blobs) < len(layers):
        return image
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": image.config_blob().descriptor(),
        "layers": [blob.descriptor() for blob in blobs],
    }
    if annotations:
        manifest["annotations"] = dict(annotations)
    return replace(image, manifest=canonical_json(manifest))


def _as_oci(layer: Layer) -> Layer:
    if layer.blob is None or layer.blob.media_type not in _AS_OCI:
        return layer
    return Layer(layer.diff_id, replace(layer.blob, media_type=_AS_OCI[layer.blob.media_type]))


def from_manifest(
    manifest: bytes,
    config: bytes,
    opener: Callable[[Mapping[str, Any]], Callable[[], BinaryIO]],
    *,
    media_type: str,
    reference: Reference | None = None,
    origin: Reference | None = None,
) -> Image:
    """Take a manifest and its config, whose digests were compared, for an image.

    Args:
        opener: gives for a layer's descriptor what opens its bytes.

    Raises:
        ImageContentError: the two do not belong together, or are not what the specification says.
    """
    try:
        descriptors = json.loads(manifest)["layers"]
        diff_ids = json.loads(config)["rootfs"]["diff_ids"]
        blobs = [
            Blob(str(d["mediaType"]), str(d["digest"]), int(d["size"]), opener(d), origin)
            for d in descriptors
        ]
        layers = tuple(Layer(str(d), blob) for d, blob in zip(diff_ids, blobs, strict=True))
    except ImageContentError:  # of `opener`, which knows more
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ImageContentError(
            f"The image {reference or ''} has a malformed manifest or config: {error}"
        ) from error
    return Image(config, layers, media_type, manifest, reference)


def blob_of(data: bytes, media_type: str) -> Blob:
    """Return bytes in memory as a blob."""
    return Blob(media_type, digest_of(data), len(data), lambda: io.BytesIO(data))


def digest_of(data: bytes) -> str:
    """Return the digest by which such bytes are named."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def canonical_json(value: Any) -> bytes:
    """Return JSON whose bytes depend on the value alone."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

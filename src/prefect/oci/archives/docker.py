"""Reading what `docker save`, `podman save` and `skopeo copy docker-archive:` write.

Such an archive has a `manifest.json` that lists for each image its names, its config and its
layers. It has no manifest in the sense of registries: one is made, and so is the image's digest.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError, ImageError
from prefect.oci.archives.layouts import choose
from prefect.oci.digests import CHUNK
from prefect.oci.documents import JSON_LIMIT, check_config, expect, parse
from prefect.oci.images import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    Blob,
    Image,
    Layer,
    blob_of,
    canonical_json,
    digest_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.oci.archives.sources import FileSource, Stored
    from prefect.oci.platforms import Platform

MANIFEST = "manifest.json"
_NAMED = re.compile(r"(?:.*[/:])?([0-9a-f]{64})(?:\.json)?")  # a config by its digest
_MAGIC = {b"\x1f\x8b": ".gzip", b"\x28\xb5\x2f\xfd": ".zstd"}


@dataclass(frozen=True, slots=True)
class _Entry:
    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]


def read_docker(source: FileSource, platform: Platform | None, name: str | None) -> Image:
    """Read one image: its config at once, layers when somebody reads them.

    Layers that are packed are read once, since nothing tells their digests.

    platform: None means that of the image.
    name: None means the only one there is.

    Raises:
        ImageContentError: the archive is malformed, or its config is not what its name promises.
        ImageError: there is no image of this name or platform; the message says which there are.
        OSError: it cannot be read.
    """
    listed = parse(_file(source, MANIFEST).read(JSON_LIMIT, MANIFEST), MANIFEST)
    entries = [_entry(each) for each in expect(listed, list, MANIFEST)]
    if not entries:
        raise ImageError("There is no image in it")
    chosen = choose(entries, _names, name)
    if any((e.config, e.layers) != (chosen[0].config, chosen[0].layers) for e in chosen):
        raise ImageError("Several images are in it, and they have no names or the same")
    image = _image(source, chosen[0])
    if platform not in {None, image.platform}:
        raise ImageError(
            f"There is no image for {platform} in it, but there is one for: {image.platform}"
        )
    return image


def _entry(value: Any) -> _Entry:
    fields = expect(value, dict, f"An entry of {MANIFEST}")
    layers = expect(fields.get("Layers") or [], list, f"{MANIFEST}'s Layers")
    names = expect(fields.get("RepoTags") or [], list, f"{MANIFEST}'s RepoTags")
    return _Entry(
        expect(fields.get("Config"), str, f"{MANIFEST}'s Config"),
        tuple(expect(each, str, f"{MANIFEST}'s Layers") for each in layers),
        tuple(expect(each, str, f"{MANIFEST}'s RepoTags") for each in names),
    )


def _names(entry: _Entry) -> Sequence[str]:
    return entry.names


def _image(source: FileSource, entry: _Entry) -> Image:
    config = _file(source, entry.config).read(JSON_LIMIT, f"The config {entry.config!r}")
    named = _NAMED.fullmatch(entry.config)
    if named and digest_of(config) != f"sha256:{named[1]}":
        raise ImageContentError(f"The config {entry.config!r} is {digest_of(config)}")
    diff_ids = check_config(config, f"The config {entry.config!r}")["rootfs"]["diff_ids"]
    if len(diff_ids) != len(entry.layers):
        raise ImageContentError(
            f"{MANIFEST} lists {len(entry.layers)} layers, but the config has {len(diff_ids)}"
        )
    blobs = [_blob(_file(source, path), d) for path, d in zip(entry.layers, diff_ids, strict=True)]
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": blob_of(config, DOCKER_CONFIG).descriptor(),
        "layers": [blob.descriptor() for blob in blobs],
    }
    layers = tuple(Layer(d, blob) for d, blob in zip(diff_ids, blobs, strict=True))
    return Image(config, layers, DOCKER_MANIFEST, canonical_json(manifest))


def _blob(stored: Stored, diff_id: str) -> Blob:
    with stored.open() as file:
        start = file.read(4)
        packing = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
        if packing is None:
            return Blob(DOCKER_LAYER, diff_id, stored.size, stored.open)
        digest = hashlib.sha256(start)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return Blob(DOCKER_LAYER + packing, f"sha256:{digest.hexdigest()}", stored.size, stored.open)


def _file(source: FileSource, path: str) -> Stored:
    stored = source.file(path)
    if stored is None:
        raise ImageContentError(f"{path!r} is missing")
    return stored

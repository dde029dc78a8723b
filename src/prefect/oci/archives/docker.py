"""Reading what `docker save`, `podman save` and `skopeo copy docker-archive:` write.

Such an archive has a `manifest.json` that lists for each image its names, its config and its
layers. It has no manifest in the sense of registries: one is made, and so is the image's digest.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from prefect.errors import ImageContentError, ImageError
from prefect.frozen import frozen
from prefect.oci.archives.layouts import absent, named
from prefect.oci.digests import CHUNK
from prefect.oci.documents import check_config, expect, parse, platform_of
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
from prefect.oci.manifests import CONFIG_BYTES, DOCUMENT_BYTES, choose
from prefect.patterns import pattern

if TYPE_CHECKING:
    from prefect.oci.archives.sources import FileSource, Stored
    from prefect.oci.platforms import Platform

MANIFEST = "manifest.json"
_NAMED = pattern(r"(?:.*[/:])?([0-9a-f]{64})(?:\.json)?")  # a config by its digest
_MAGIC = {b"\x1f\x8b": ".gzip", b"\x28\xb5\x2f\xfd": ".zstd"}


@frozen
class _Entry:
    config: str
    layers: tuple[str, ...]
    names: tuple[str, ...]


def read_docker(source: FileSource, platform: Platform | None, name: str | None) -> Image:
    """Read one image: its config at once, layers when somebody reads them.

    Layers that are packed are read once, since nothing tells their digests.

    Args:
        platform: None means that of the image.
        name: None means the only one there is.

    Raises:
        ImageContentError: the archive is malformed, or its config is not what its name promises.
        ImageError: there is no image of this name or platform; the message says which there are.
        OSError: it cannot be read.
    """
    listed = parse(_file(source, MANIFEST).read(DOCUMENT_BYTES, MANIFEST), MANIFEST)
    entries = [_entry(each) for each in expect(listed, list, MANIFEST)]
    # Of one image under several names there are several entries.
    images = {
        (each.config, each.layers): (each, _config(source, each))
        for each in named(entries, lambda each: each.names, name)
    }
    found = [(*each, platform_of(json.loads(each[1]), each[0].config)) for each in images.values()]
    entry, config, its = choose(found, lambda each: each[2], platform, absent)
    if sum(other == its for *_, other in found) > 1:
        raise ImageError("Several images are in it, and they have no names or the same")
    return _image(source, entry, config)


def _entry(value: Any) -> _Entry:
    fields = expect(value, dict, f"An entry of {MANIFEST}")
    layers = expect(fields.get("Layers") or [], list, f"{MANIFEST}'s Layers")
    names = expect(fields.get("RepoTags") or [], list, f"{MANIFEST}'s RepoTags")
    return _Entry(
        expect(fields.get("Config"), str, f"{MANIFEST}'s Config"),
        tuple(expect(each, str, f"{MANIFEST}'s Layers") for each in layers),
        tuple(expect(each, str, f"{MANIFEST}'s RepoTags") for each in names),
    )


def _config(source: FileSource, entry: _Entry) -> bytes:
    what = f"The config {entry.config!r}"
    config = _file(source, entry.config).read(CONFIG_BYTES, what)
    digest = _NAMED.fullmatch(entry.config)
    if digest and digest_of(config) != f"sha256:{digest[1]}":
        raise ImageContentError(f"{what} is {digest_of(config)}")
    check_config(config, what)
    return config


def _image(source: FileSource, entry: _Entry, config: bytes) -> Image:
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
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

"""Images for tests, made without the code that reads them."""

import gzip
import hashlib
import io
import json
import tarfile
import zlib

from hypothesis import strategies as st

from prefect.oci.images import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Image,
    Layer,
    blob_of,
)
from prefect.oci.registry.transport import Transport


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(*members, **files: bytes) -> bytes:
    """Return a tar archive of (name, content) pairs, or (name, type, link)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, *what in [*members, *files.items()]:
            info = tarfile.TarInfo(name)
            content = b""
            if isinstance(what[0], str):
                content = what[0].encode()
            elif len(what) == 2:
                info.type, info.linkname = what
            else:
                content = what[0]
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def layer_of(tar: bytes, family: str = OCI_MANIFEST, packing: str = "gzip") -> Layer:
    """Return a layer in memory: packing is "", "gzip", or "members" for several of gzip's."""
    docker = family == DOCKER_MANIFEST
    kind = DOCKER_LAYER if docker else OCI_LAYER
    packed = tar
    if packing:
        kind += ".gzip" if docker else "+gzip"
        middle = len(tar) // 2 if packing == "members" else len(tar)
        halves = [part for part in (tar[:middle], tar[middle:]) if part]
        packed = b"".join(gzip.compress(part, 1, mtime=0) for part in halves)
    return Layer(sha256(tar), blob_of(packed, kind))


def image_of(*layers: Layer, family: str = OCI_MANIFEST, platform: str = "linux/amd64", **config):
    """Return an image of layers."""
    system, architecture, *variant = platform.split("/")
    config = {
        "os": system,
        "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created_by": "a test"} for _ in layers],
    } | config
    if variant:
        config["variant"] = variant[0]
    raw = json.dumps(config, indent=1).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": family,
        "config": {
            "mediaType": DOCKER_CONFIG if family == DOCKER_MANIFEST else OCI_CONFIG,
            "digest": sha256(raw),
            "size": len(raw),
        },
        "layers": [layer.blob.descriptor() for layer in layers],
    }
    return Image(raw, layers, family, json.dumps(manifest, indent=2).encode())


def simple(text: str = "hello", **options) -> Image:
    """Return an image of one small file."""
    family = options.get("family", OCI_MANIFEST)
    return image_of(layer_of(tar_of(("etc/motd", text)), family), **options)


def content(image: Image) -> list[bytes]:
    """Return what the layers' blobs hold."""
    every = []
    for layer in image.layers:
        with layer.blob.open() as file:
            every.append(file.read())
    return every


def recompressed(tar: bytes) -> bytes:
    """Return a gzip stream of other bytes for the same archive."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(tar) + packer.flush()


def write_layout(directory, image: Image, *entries: dict, index: dict | None = None):
    """Write an OCI layout by hand; entries are added to its descriptor, one image of it each."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    every = [image.manifest, image.config, *content(image)]
    for data in every:
        (blobs / sha256(data)[7:]).write_bytes(data)
    descriptor = {
        "mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest),
    }  # fmt: skip
    listed = [descriptor | entry for entry in entries or ({},)]
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(
        json.dumps(index or {"schemaVersion": 2, "manifests": listed})
    )
    return listed


def docker_save(path, *images, names=("demo:1",), change=lambda entry: entry, extra=()):
    """Write an archive as Docker's container engine did before 25."""
    found, entries = {}, []
    for image in images:
        config = image.id[7:] + ".json"
        found[config] = image.config
        for layer, data in zip(image.layers, content(image), strict=True):
            found[f"{layer.diff_id[7:]}/layer.tar"] = data
        layers = [f"{layer.diff_id[7:]}/layer.tar" for layer in image.layers]
        entries.append(change({"Config": config, "RepoTags": list(names), "Layers": layers}))
    found["manifest.json"] = json.dumps(entries).encode()
    path.write_bytes(tar_of(*found.items(), *extra))


def put_index(name, entries, media_type=OCI_INDEX):
    """Put an index under a tag."""
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    transport = Transport(name.registry, name.repository, "pull,push")
    transport.exchange(
        "PUT", transport.url(f"manifests/{name.tag}"), "put", frozenset({201}),
        headers={"Content-Type": media_type}, body=json.dumps(document).encode(),
    )  # fmt: skip


names = st.text("abcé ☃", min_size=1, max_size=120).filter(lambda name: name.strip())
trees = st.dictionaries(names, st.binary(max_size=3000), max_size=5)
layers_of = {
    family: st.builds(
        lambda tree, packing, family=family: layer_of(tar_of(*tree.items()), family, packing),
        trees, st.sampled_from(["", "gzip", "members"]),
    )
    for family in (OCI_MANIFEST, DOCKER_MANIFEST)
}  # fmt: skip


@st.composite
def images(draw):
    """Random images of either family."""
    family = draw(st.sampled_from([OCI_MANIFEST, DOCKER_MANIFEST]))
    layers = draw(st.lists(layers_of[family], max_size=4))
    platform = draw(st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v6"]))
    settings = {"Labels": draw(st.dictionaries(names, names, max_size=3)), "Env": ["A=b"]}
    return image_of(*layers, family=family, platform=platform, config=settings)


def every_image(daemon, *labels: str) -> set[str]:
    """Return the ids of a container engine's images with these labels, with a name or without."""
    query = {"all": "1", "filters": json.dumps({"label": labels})}
    with daemon.http.request("GET", "/images/json", "list its images", query=query) as answer:
        return {image["Id"] for image in answer.listed()}

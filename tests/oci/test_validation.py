"""`prefect.oci.validation`, and how blobs and layers are read."""

import gzip
import io
import json
import sys
import tarfile

import pytest
from hypothesis import given, settings
from image_making import image_of, images, layer_of, recompressed, sha256, simple, tar_of
from validation import validate

from prefect.errors import ImageContentError, ImageError
from prefect.frozen import replace
from prefect.oci.digests import verified
from prefect.oci.images import (
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_LAYER,
    Blob,
    Layer,
    blob_of,
    derive,
)
from prefect.oci.layers.unpacking import unpacked
from prefect.oci.layers.writing import LAYER, Entry, write_layer


@settings(max_examples=60, deadline=None)
@given(images())
def test_random_images_are_valid(image):
    """Of both families, plain and packed, in one member of gzip or in two."""
    validate(image)


@pytest.mark.parametrize("family", ["oci", "docker"])
def test_what_is_derived_is_valid(family):
    """A layer of ours on a base keeps every rule."""
    base = simple(family=DOCKER_MANIFEST) if family == "docker" else simple()
    file = io.BytesIO()
    big = Entry("opt/x/big", bytes(3 << 20))
    written = write_layer([big, Entry("opt/x/link", link="big")], file, own="opt/x")
    layer = Layer(written.diff_id, blob_of(file.getvalue(), LAYER))
    image = derive(base, [layer], {"Cmd": ["x"]}, comments=["x"], annotations={"a": "b"})
    validate(image)
    assert unpacked(layer.blob).read()[-1024:] == bytes(1024)


def with_manifest(image, **changes):
    """Return the image with other members of its manifest."""
    return replace(image, manifest=json.dumps(json.loads(image.manifest) | changes).encode())


def with_layer(tar=b"", *, blob=None, diff_id=None):
    """Return an image of one layer that is wrong in itself and right in the manifest."""
    return image_of(Layer(diff_id or sha256(tar), blob or blob_of(tar, OCI_LAYER)))


TAR = tar_of(("a", "1"))
PACKED = gzip.compress(TAR)
FAULTS = {
    "no rootfs type": (simple(rootfs={"diff_ids": []}), "'layers'"),
    "other diff_ids": (simple(rootfs={"type": "layers", "diff_ids": []}), "0 layers"),
    "a history of more": (simple(history=[{}, {}]), "tells of 2 layers"),
    "a config of another size": (
        with_manifest(simple(), config=simple().config_blob().descriptor() | {"size": 1}),
        "config that its size is 1",
    ),
    "another config": (
        with_manifest(simple(), config=simple("x").config_blob().descriptor()),
        "config that its digest",
    ),
    "an index": (replace(simple(), media_type=OCI_INDEX), "type"),
    "another type": (with_manifest(simple(), mediaType=DOCKER_MANIFEST), "type"),
    "another version": (with_manifest(simple(), schemaVersion=1), "schemaVersion"),
    "a layer too few": (with_manifest(simple(), layers=[]), "0 layers"),
    "a layer of Docker's": (
        image_of(layer_of(TAR, DOCKER_MANIFEST)), "tar.gzip' is of another family",
    ),
    "a layer that cannot be distributed": (
        with_layer(blob=blob_of(TAR, "application/vnd.oci.image.layer.nondistributable.v1.tar")),
        "another family",
    ),
    "another layer": (
        with_manifest(simple(), layers=[blob_of(TAR, OCI_LAYER).descriptor()]), "layer that its",
    ),
    "another diff_id": (with_layer(TAR, diff_id=sha256(b"x")), "unpacks to"),
    "no tar archive": (with_layer(b"x" * 1024), "not a tar archive"),
    "a truncated archive": (with_layer(TAR[:600]), "truncated"),
    "a cut header": (with_layer(TAR[:100]), "truncated"),
    "a path above": (with_layer(tar_of(("../a", "1"))), "no plain relative path"),
    "an absolute path": (with_layer(tar_of(("/a", "1"))), "no plain relative path"),
    "a path twice": (with_layer(tar_of(("a", "1"), ("./a", "1"))), "'a' twice"),
    "a hard link above": (
        with_layer(tar_of(("a", tarfile.LNKTYPE, "../../etc/passwd"))), "out of the image",
    ),
    "no gzip": (
        image_of(Layer(sha256(TAR), blob_of(TAR, f"{OCI_LAYER}+gzip"))), "cannot be unpacked",
    ),
    "truncated gzip": (
        image_of(Layer(sha256(TAR), blob_of(PACKED[:-9], f"{OCI_LAYER}+gzip"))),
        "cannot be unpacked",
    ),
    "bytes after gzip": (
        image_of(Layer(sha256(TAR), blob_of(PACKED + b"x", f"{OCI_LAYER}+gzip"))),
        "cannot be unpacked",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_the_first_fault_is_named(case):
    """Each rule that an image breaks is an error that says which."""
    image, words = FAULTS[case]
    with pytest.raises(ImageContentError, match=words):
        validate(image)


def test_another_packing_of_the_same_archive_is_another_blob():
    """The diff_id is right, and the digest is not."""
    image = simple()
    other = recompressed(tar_of(("etc/motd", "hello")))
    blob = replace(image.layers[0].blob, open=lambda: io.BytesIO(other))
    with pytest.raises(ImageContentError, match=blob.digest):
        validate(replace(image, layers=(replace(image.layers[0], blob=blob),)))


def test_an_image_that_a_daemon_has_cannot_be_validated():
    """It says so, as bytes cannot be compared."""
    image = simple()
    with pytest.raises(ImageError, match="in a container engine"):
        validate(replace(image, layers=(Layer(image.layers[0].diff_id),), manifest=None))


def test_zstd_needs_a_python_that_has_it():
    """Where none is at hand, the message says what would help."""
    image = image_of(Layer(sha256(TAR), blob_of(b"\x28\xb5\x2f\xfd", f"{OCI_LAYER}+zstd")))
    words = "zstd" if sys.version_info < (3, 14) else "cannot be unpacked"
    with pytest.raises(ImageContentError, match=words):
        validate(image)


@pytest.mark.parametrize("real", [b"", b"x" * 3_000_000])
def test_the_last_byte_comes_after_the_check(real):
    """Whoever got all the bytes got the right ones, even without asking for the end."""
    for wrong in (real + b"x", real[:-1] + b"y", real[:-1]):
        if wrong == real:
            continue
        blob = Blob(DOCKER_LAYER, sha256(real), len(real), lambda wrong=wrong: io.BytesIO(wrong))
        file = verified(blob)
        got = 0
        with pytest.raises(ImageContentError, match=blob.digest):
            while chunk := file.read(100_000):
                got += len(chunk)
        assert got < max(len(real), 1)
        with pytest.raises(ImageContentError):  # and once more
            file.read()
    good = verified(blob_of(real, DOCKER_LAYER))
    assert good.read(len(real)) == real
    assert good.read() == b""


def test_a_digest_of_another_kind_is_refused():
    """The digits name files, and nothing else may."""
    for digest in ("sha512:" + "0" * 128, "sha256:../../x", "sha256:" + "A" * 64, ""):
        with pytest.raises(ImageContentError, match="64 hex"):
            verified(Blob(DOCKER_LAYER, digest, 0, io.BytesIO))

"""`prefect.oci.digests`, and the trips of bytes that are to be hashed once."""

import gzip
import hashlib
import io
import os

import pytest
from image_making import docker_save, image_of, layer_of, tar_of

from prefect.errors import ImageContentError
from prefect.frozen import replace
from prefect.oci.archives.archive import docker_archive, read
from prefect.oci.cache.store import Store
from prefect.oci.digests import verified, verifying
from prefect.oci.images import DOCKER_MANIFEST, blob_of
from prefect.oci.layers.unpacking import walk
from prefect.oci.layers.writing import compress_layer
from prefect.oci.registry.client import fetch, push

TAR = tar_of(data=os.urandom(3 << 20), zeros=bytes(3 << 20))
ENOUGH = 100_000  # of bytes beside those of layers: keys, manifests, configs


@pytest.fixture
def hashed(monkeypatch):
    """Return a list of the numbers of bytes that were hashed."""
    counts, original = [], hashlib.sha256

    class Counting:
        def __init__(self, data=b"", **_):
            self._hash = original(data)
            counts.append(len(data))

        def update(self, data):
            counts.append(len(data))
            self._hash.update(data)

        def hexdigest(self):
            return self._hash.hexdigest()

        def digest(self):
            return self._hash.digest()

    monkeypatch.setattr(hashlib, "sha256", Counting)
    return counts


def unpack(layer) -> None:
    for _ in walk(layer):
        pass


def total(hashed) -> int:
    """Return the bytes that were hashed since the last time."""
    count = sum(hashed)
    hashed.clear()
    return count


@pytest.mark.services
def test_a_fetched_layer_is_hashed_once(open_registry, reference, tmp_path, hashed):
    """Fetching, keeping and unpacking hashes packed bytes once and unpacked bytes once."""
    packed = layer_of(TAR)
    size = packed.blob.size
    push(image_of(packed), reference(open_registry))
    (layer,) = fetch(reference(open_registry)).layers
    with Store(tmp_path) as store:
        kept = replace(layer, blob=store.blob(layer.blob))
        total(hashed)
        unpack(kept)
        assert 0 <= total(hashed) - (size + len(TAR)) < ENOUGH
        unpack(kept)  # the store's file, whose bytes were hashed as they were written
        assert 0 <= total(hashed) - len(TAR) < ENOUGH
        b"".join(docker_archive(image_of(kept), "demo"))
        assert total(hashed) < ENOUGH
        push(image_of(kept), reference(open_registry, suffix="/other"))
        assert total(hashed) < ENOUGH
    with Store(tmp_path) as store:  # as another process: the file is not believed
        unpack(replace(layer, blob=store.blob(layer.blob)))
        assert 0 <= total(hashed) - (size + len(TAR)) < ENOUGH


def test_a_layer_out_of_an_archive_is_hashed_once(tmp_path, hashed):
    """One that is not packed has one digest; compressing it hashes what comes and what goes."""
    docker_save(tmp_path / "image.tar", image_of(layer_of(TAR, DOCKER_MANIFEST, "")))
    (layer,) = read(tmp_path / "image.tar").layers
    total(hashed)
    unpack(layer)
    assert 0 <= total(hashed) - len(TAR) < ENOUGH
    written = compress_layer(layer, io.BytesIO())
    assert 0 <= total(hashed) - (len(TAR) + written.size) < ENOUGH


def test_what_verifies_itself_is_taken_for_that_blob_alone():
    """The mark of one blob does not stand for another, nor for another size."""
    data = os.urandom(1000)
    blob = blob_of(data, "x")
    opened = []

    def opener():
        opened.append(verifying(io.BytesIO(data), blob.digest, blob.size))
        return opened[-1]

    with verified(replace(blob, open=opener)) as file:
        assert file is opened[-1]
        assert file.read() == data
    for wrong in (replace(blob, digest=blob_of(b"", "x").digest), replace(blob, size=999)):
        with (
            verified(replace(wrong, open=opener)) as file,
            pytest.raises(ImageContentError, match=f"{wrong.digest} of {wrong.size} bytes"),
        ):
            file.read()


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:-1] + b"x"])
def test_the_last_bytes_are_given_if_all_are_right(change):
    """Cut, grown and altered ones are refused, as often as somebody asks for them."""
    blob = blob_of(os.urandom(1000) + b"\0", "x")
    with blob.open() as file:
        data = file.read()
    wrong = verified(replace(blob, open=lambda: io.BytesIO(change(data))))
    for _ in range(2):
        with pytest.raises(ImageContentError, match="altered"):
            wrong.read()
    wrong.close()


def test_packed_layers_of_another_digest_are_unpacked():
    """That a layer is plain is told by its digest and type, not by its type alone."""
    layer = layer_of(TAR, packing="")
    wrong = replace(layer, diff_id=blob_of(gzip.compress(TAR), "x").digest)
    with pytest.raises(ImageContentError, match="unpacks to"):
        unpack(wrong)

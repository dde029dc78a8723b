"""`prefect.images.whole`: images with all of their layers, from a file, a registry, an engine, the cache."""

import io

import pytest
from image_making import image_of, layer_of, simple, tar_of

from prefect.errors import ArtifactError, ImageError, RegistryError
from prefect.frozen import replace
from prefect.images import remembered, whole
from prefect.images.labels import LABEL_MANIFEST, LABEL_VERSION
from prefect.images.whole import find_whole
from prefect.oci.archives import archive
from prefect.oci.cache.store import Store
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.loading import load
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference
from prefect.oci.registry import client


def flow_image(text: str):
    """Return an image that says of itself that it is ours."""
    return image_of(layer_of(tar_of(("file", text))), config={"Labels": {LABEL_VERSION: "1"}})


def read(image) -> list[bytes]:
    """Return what the layers' blobs hold."""
    found = []
    for layer in image.layers:
        with layer.blob.open() as file:
            found.append(file.read())
    return found


@pytest.fixture
def store(tmp_path):
    """A cache of the test's own."""
    with Store(tmp_path / "cache") as made:
        yield made


@pytest.fixture
def nowhere(monkeypatch):
    """Have no container engine."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


def test_an_image_in_a_file_needs_nobody(store, tmp_path, nowhere):
    """By its path, as a str or not."""
    image = flow_image("in a file")
    archive.write(image, tmp_path / "image.tar")
    for name in (tmp_path / "image.tar", str(tmp_path / "image.tar")):
        found, flow = find_whole(name, store)
        assert read(found) == read(image)
        assert not flow.holds_flow


def test_an_image_that_is_not_ours_is_refused(store, tmp_path):
    """As everywhere."""
    archive.write(simple(), tmp_path / "image.tar")
    with pytest.raises(ImageError, match="not built by prefect"):
        find_whole(tmp_path / "image.tar", store)
    with pytest.raises(ArtifactError):
        find_whole("No Name", store)


@pytest.mark.services
def test_an_image_in_a_registry_needs_no_engine(store, registry, unique, nowhere):
    """By its tag; and by its digest, when its layers are unpacked, not even the registry."""
    image = flow_image(unique)
    name = f"{registry}/{unique}:1"
    pushed = client.push(image, Reference.parse(name))
    found, _ = find_whole(name, store)
    assert read(found) == read(image)
    pinned = f"{registry}/{unique}@{pushed.digest}"
    assert read(find_whole(pinned, store)[0]) == read(image)
    gone = f"127.0.0.1:1/{unique}@{pushed.digest}"
    with pytest.raises(RegistryError):
        find_whole(gone, store, unpacked=lambda _: True)
    known = remembered.remembered_image(store, Reference.parse(pinned), None)
    remembered.remember_image(
        store, Reference.parse(gone), None, replace(known, reference=Reference.parse(gone))
    )
    assert find_whole(gone, store, unpacked=lambda _: True)[0].config == image.config
    with pytest.raises(RegistryError):
        find_whole(gone, store)


@pytest.mark.services
def test_an_image_that_an_engine_alone_has_is_taken_out_of_it(store, daemon, unique):
    """Once: what is unpacked is not asked for again."""
    image = flow_image(unique)
    load(Daemon(), image, f"{unique}:1", label=LABEL_VERSION, whole=lambda: image)
    told = []
    found, _ = find_whole(f"{unique}:1", store, progress=told.append)
    assert [layer.diff_id for layer in found.layers] == [layer.diff_id for layer in image.layers]
    assert all(read(found))
    assert len(told) == 1
    assert find_whole(f"{unique}:1", store, unpacked=lambda _: True, progress=told.append)
    assert len(told) == 1
    with pytest.raises(ImageError, match="There is no image"):
        find_whole(f"{unique}:2", store)


def test_a_manifest_is_read_from_its_layer_once(store, tmp_path, base_of_flow):
    """It is remembered by the image's id; of another image it is another one."""
    first, second = base_of_flow("one"), base_of_flow("two")
    for image, text in ((first, b"one"), (second, b"two"), (first, b"one")):
        archive.write(image, tmp_path / "image.tar")
        _, flow = find_whole(tmp_path / "image.tar", store)
        found = io.BytesIO()
        flow._copy("/opt/prefect/flow/manifest.json", found, 1 << 20)
        assert found.getvalue() == text
    unreadable = replace(first, layers=tuple(replace(each, blob=None) for each in first.layers))
    copied = io.BytesIO()
    whole._looked_into(unreadable, "first", store)._copy(
        "/opt/prefect/flow/manifest.json", copied, 1 << 20
    )
    assert copied.getvalue() == b"one"


@pytest.fixture
def base_of_flow():
    """Return a function that makes an image with a flow's manifest of some text."""

    def make(text: str):
        labels = {LABEL_VERSION: "1", LABEL_MANIFEST: "/opt/prefect/flow/manifest.json"}
        layer = layer_of(tar_of(("opt/prefect/flow/manifest.json", text)))
        return image_of(layer, config={"Labels": labels})

    return make


@pytest.mark.services
def test_what_a_tag_names_is_remembered_for_a_while_and_a_digest_for_ever(store, registry, unique):
    """With all that tells the image from another one, and layers that come from the registry."""
    image = flow_image(unique)
    name = Reference.parse(f"{registry}/{unique}:1")
    pushed = client.push(image, name)
    fetched = client.fetch(name)
    assert remembered.remembered_image(store, name, None, 60) is None
    remembered.remember_image(store, name, None, fetched)
    known = remembered.remembered_image(store, name, None, 60)
    assert known == fetched
    assert read(known) == read(image)
    assert remembered.remembered_image(store, name, None, 0) is None
    assert remembered.remembered_image(store, name, Platform.of_host(), 60) is None
    pinned = Reference.parse(f"{registry}/{unique}@{pushed.digest}")
    remembered.remember_image(store, pinned, None, fetched)
    assert remembered.remembered_image(store, pinned, None, 0) == fetched

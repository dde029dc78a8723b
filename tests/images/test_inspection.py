"""`prefect.images.inspection`: what is read of an image, from a registry, file or engine."""

import json
import os
import pickle
import time
from pathlib import Path

import faulty_registry
import pytest
from base_making import layout
from image_making import image_of, layer_of, tar_of
from validation import validate

from prefect import Flow, task
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.errors import AuthenticationError, FormatError, ImageContentError, ImageError
from prefect.frozen import replace
from prefect.images.inspection import look_into_layers
from prefect.oci.archives import archive as archives
from prefect.oci.daemon.client import Daemon
from prefect.oci.images import Layer, derive
from prefect.oci.references import Reference
from prefect.oci.registry import client as registry
from prefect.places.engine.container import RunnableImage

MANIFEST = "/opt/prefect/flow/manifest.json"


@pytest.fixture(autouse=True)
def no_daemon(request, monkeypatch):
    """No container engine anywhere, but for the tests that use one."""
    if "daemon" not in request.fixturenames:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


@pytest.fixture
def environment(tmp_path):
    """On a base made by hand, with a dependency."""
    return ContainerEnvironment(layout(tmp_path / "base"), python_dependencies=["markupsafe"])


def guarded(image, *readable):
    """Return the image with layers that raise when they are opened, but for some."""

    def open_() -> None:
        raise AssertionError("this layer is not to be read")

    count = len(image.layers)
    layers = [
        each if number - count in readable else replace(each, blob=replace(each.blob, open=open_))
        for number, each in enumerate(image.layers)
    ]
    return replace(image, layers=tuple(layers))


def built(environment, flow, tmp_path):
    environment.export(tmp_path / "image.tar", flow)
    image = archives.read(tmp_path / "image.tar")
    validate(image)
    return image


def test_of_an_archive_the_flows_layer_alone_is_read(environment, flow, tmp_path):
    """Neither the base's nor the dependencies'."""
    image = built(environment, flow, tmp_path)
    found = look_into_layers(guarded(image, -1), "demo:1")
    assert found.manifest().flow == flow.serialize()
    assert (found.holds_flow, found.sealed) == (True, False)


def test_a_large_payload_is_in_a_layer_of_its_own(environment, tmp_path):
    """A look at the manifest does not read it, and the image is complete all the same."""
    ballast = os.urandom(1 << 20)
    with Flow("large") as large:
        task(lambda: len(ballast))()
    image = built(environment, large, tmp_path)
    assert image.layers[-2].blob.size > 1 << 20
    assert image.layers[-1].blob.size < 1 << 14
    assert look_into_layers(guarded(image, -1), "demo:1").manifest().flow["name"] == "large"
    history = [entry.get("created_by") for entry in json.loads(image.config)["history"]]
    assert history[-2:] == ["the flow", "the flow's manifest"]


def test_ten_thousand_tasks_are_in_a_file_and_not_in_labels(environment, tmp_path):
    """The labels, which container engines list with every image, stay small."""
    with Flow("wide") as wide:
        number = task(lambda: 1)
        for _ in range(10_000):
            number()
    image = built(environment, wide, tmp_path)
    assert len(json.dumps(image.labels)) < 1000
    assert len(image.config) < 10_000
    found = look_into_layers(guarded(image, -1), "demo:1").manifest()
    assert len(found.flow["tasks"]) == 10_000


def test_looking_executes_nothing(environment, flow, tmp_path, canary):
    """A payload that would act when it is unpickled does not."""
    image = built(environment, flow, tmp_path)
    tar = tar_of(("opt/prefect/flow/payload.pickle", pickle.dumps(canary, 0).decode()))
    spoiled = derive(image, [layer_of(tar)], image.settings)
    assert look_into_layers(spoiled, "demo:1").manifest().flow == flow.serialize()
    assert not Path(canary.path).exists()


@pytest.mark.services
def test_of_a_registry_manifest_config_and_one_layer_are_read(environment, flow, registry, unique):
    """Counted by what the registry was asked for: never the dependencies."""
    counting = faulty_registry.FaultyRegistry(registry)
    try:
        pushed = environment.push(f"{counting.host}/{unique}:1", flow)
        image = fetch(pushed)
        validate(image)
        counting.seen.clear()
        found = look_into_layers(fetch(f"{counting.host}/{unique}:1"), "demo:1").manifest()
    finally:
        counting.stop()
    assert found.flow == flow.serialize()
    asked = [(s.method, s.path.rpartition("/")[2]) for s in counting.seen]
    # Not whether there is a registry, to which what was fetched before still speaks.
    assert asked == [("GET", "1"), ("GET", image.id), ("GET", image.layers[-1].blob.digest)]


def fetch(name: str):
    return registry.fetch(Reference.parse(name))


@pytest.mark.services
def test_a_daemon_gives_the_same_manifest(daemon, environment, flow, unique):
    """And says what it does not have."""
    environment.push(f"{os.environ['PREFECT_TEST_REGISTRY']}/{unique}:1", flow)
    name = f"{os.environ['PREFECT_TEST_REGISTRY']}/{unique}:1"
    daemon.images.pull(name)
    assert RunnableImage(Daemon(), name).manifest().flow == flow.serialize()
    with pytest.raises(ImageError, match="no image nobody-has-this:1 in the container engine"):
        RunnableImage(Daemon(), "nobody-has-this:1")


@pytest.mark.services
def test_a_daemon_is_asked_for_an_images_manifest_once(
    daemon, environment, flow, unique, tmp_path, monkeypatch
):
    """Looking into an image takes a container; its id names its content, so once is enough."""
    name = f"{os.environ['PREFECT_TEST_REGISTRY']}/{unique}:1"
    environment.push(name, flow)
    daemon.images.pull(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    begin = f"{time.time():.9f}"  # the test before had a container of this very image
    for _ in range(3):
        assert RunnableImage(Daemon(), name).manifest().flow == flow.serialize()
    asked = {"type": "container", "event": "create", "image": daemon.images.get(name).id}
    made = daemon.events(since=begin, until=int(time.time()) + 1, filters=asked, decode=True)
    assert len([*made]) == 1


def test_dependencies_alone_are_said_to_be(environment, tmp_path):
    """Such an image has no manifest to show."""
    image = built(environment, None, tmp_path)
    found = look_into_layers(image, "demo:1")
    assert not found.holds_flow
    with pytest.raises(ImageError, match="dependencies alone"):
        found.manifest()


def test_what_is_not_ours_or_malformed_is_refused(environment, flow, tmp_path):
    """Each by an error that names the image."""
    image = built(environment, flow, tmp_path)
    with pytest.raises(ImageError, match="demo:1 was not built by prefect"):
        look_into_layers(image_of(layer_of(tar_of(("a", "")))), "demo:1")

    def with_manifest(text):
        tar = tar_of((MANIFEST[1:], text))
        return look_into_layers(derive(image, [layer_of(tar)], image.settings), "demo:1")

    for text in ("{", "[]", "{}", '{"format": 99}'):
        with pytest.raises(FormatError):
            with_manifest(text).manifest()
    bare = replace(image, layers=image.layers[:1])
    with pytest.raises(ImageError, match=f"demo:1 lacks its flow's {MANIFEST}"):
        look_into_layers(bare, "demo:1").manifest()
    wrong = replace(image.layers[-1], diff_id="sha256:" + "0" * 64)
    with pytest.raises(ImageContentError, match="unpacks to"):
        look_into_layers(replace(image, layers=(*image.layers[:-1], wrong)), "demo:1").manifest()


def test_no_layer_fills_the_memory(environment, flow, tmp_path):
    """What stands above the flow is read as well, but not if it is large."""
    image = built(environment, flow, tmp_path)
    upper = layer_of(tar_of(("a", "")))
    upper = Layer(upper.diff_id, replace(upper.blob, size=1 << 30))
    found = look_into_layers(replace(image, layers=(*image.layers, upper)), "demo:1")
    with pytest.raises(ImageError, match="Load it into a container engine"):
        found.manifest()


def test_a_sealed_flow_tells_nothing_without_its_key(tmp_path, flow):
    """Not even its name; with the key, everything."""
    key = PickleEnvironment().encryption_key
    environment = ContainerEnvironment(
        layout(tmp_path / "base"), python_dependencies=[], encryption_key=key
    )
    image = built(environment, flow, tmp_path)
    assert flow.name not in json.dumps(image.labels)
    found = look_into_layers(guarded(image, -1), "demo:1")
    assert (found.sealed, found.holds_flow) == (True, True)
    with pytest.raises(ImageError, match="--key-file"):
        found.manifest()
    assert found.manifest(PickleEnvironment(key).keyring).flow["name"] == flow.name
    with pytest.raises(AuthenticationError):
        found.manifest(PickleEnvironment().keyring)


def test_labels_that_lead_elsewhere_give_an_error():
    """A path of somebody else's making is looked for as any other."""
    labels = {"prefect.version": "1", "prefect.flow": "x", "prefect.manifest": "../../etc/passwd"}
    image = image_of(layer_of(tar_of(("a", ""))), config={"Labels": labels})
    with pytest.raises(ImageError, match="lacks its flow's"):
        look_into_layers(image, "demo:1").manifest()

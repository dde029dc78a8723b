"""Loading images into real container engines: what is sent, and what remains when it goes wrong.

The first container engine is that of DOCKER_HOST, of whatever kind it is; the other is podman.
"""

import errno
import os
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
import run_of_tests
from faulty_daemon import FaultyDaemon, answer, cut_after, first
from image_making import every_image, image_of, layer_of, tar_of
from validation import validate

from prefect.errors import (
    ContainerEngineError,
    ContainerEngineUnavailableError,
    ImageContentError,
)
from prefect.frozen import replace
from prefect.oci.archives.archive import docker_archive, read
from prefect.oci.daemon.client import Daemon, Storage
from prefect.oci.daemon.image import described
from prefect.oci.daemon.loading import load
from prefect.oci.images import Blob, Layer, derive

pytestmark = pytest.mark.services

LABEL = "prefect.test-loading"  # of what may have layers in common
MINE = {"prefect.test-loading.of": f"{run_of_tests.name()}-{uuid.uuid4().hex[:8]}"}
REFUSAL = b'{"message": "no space left on device"}'


@pytest.fixture(scope="module", params=["services", "podman"])
def address(request, base_image):
    """Where the container engine is."""
    return (
        request.getfixturevalue("podman")
        if request.param == "podman"
        else os.environ["DOCKER_HOST"]
    )


@pytest.fixture
def proxy(address, tmp_path):
    """What stands between the test and the engine."""
    server = FaultyDaemon(address, tmp_path / "engine.sock")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def connected(address):
    """The container engine itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", address)
        return Daemon()


@pytest.fixture
def daemon(connected):
    """The container engine itself, which afterwards holds nothing of the test."""
    before = every(connected)
    yield connected
    for image in every(connected) - before:
        connected.remove(image)


@pytest.fixture
def faulty(proxy, daemon, monkeypatch):
    """The container engine behind the proxy."""
    monkeypatch.setenv("DOCKER_HOST", proxy.address)
    return Daemon()


@pytest.fixture
def base(daemon, unique):
    """A base image of two layers with all its bytes; the container engine has it, too."""
    layers = [layer_of(tar_of((f"{name}.{unique}", os.urandom(100_000)))) for name in "ab"]
    image = image_of(*layers, config={"Cmd": ["x"], "Labels": MINE})
    daemon.load(docker_archive(image, f"{unique}-base", both_indexes=True))
    return image


class Build:
    """An image to load: layers on a base whose bytes the container engine alone has.

    whole: how often all of its bytes were wanted.
    """

    def __init__(self, base, base_in_daemon, *layers: Layer) -> None:
        self.base, self.layers = base, layers
        self.image = self.on(base_in_daemon)
        self.whole = 0

    def on(self, base):
        return derive(base, self.layers, {"Labels": MINE | {LABEL: "1"}})

    def load(self, daemon, name: str):
        def whole():
            self.whole += 1
            return self.on(self.base)

        return load(daemon, self.image, name, label=LABEL, whole=whole)


@pytest.fixture
def build(base, daemon, unique):
    """Return a function that makes an image with own layers on what the container engine has of the base."""

    def make(*texts: str, below=base) -> Build:
        layers = [layer_of(tar_of(("own", text))) for text in texts or ("own",)]
        return Build(below, described(daemon.find(f"{unique}-base")), *layers)

    return make


def every(daemon) -> set[str]:
    """Return the ids of all images of these tests, those without a name among them."""
    ((label, value),) = MINE.items()
    return every_image(daemon, f"{label}={value}")


def identity(daemon, build: Build) -> str:
    """Return an image's id in an engine."""
    whole = build.on(build.base)
    return whole.digest if daemon.storage is Storage.CONTAINERD else whole.id


def saved(daemon, name: str, path: Path):
    """Return what a container engine gives away of an image, after checking every byte of it."""
    daemon.save(name, path)
    image = read(path)
    validate(image)
    return image


# ---- what is sent -------------------------------------------------------------------------------


def test_only_what_the_daemon_lacks_is_sent(build, faulty, daemon, proxy, unique, tmp_path):
    """The base stays where it is; the image has its id, its name, its layers, and can start."""
    one = build()
    loaded = one.load(faulty, f"{unique}:1")
    assert loaded.id == identity(daemon, one) == daemon.find(f"{unique}:1").id
    assert [layer.diff_id for layer in described(loaded).layers] == [
        layer.diff_id for layer in one.image.layers
    ]
    assert proxy.loads == 1
    assert proxy.sent < 50_000
    assert daemon.can_start(f"{unique}:1")
    assert saved(daemon, f"{unique}:1", tmp_path / "image.tar").id == one.image.id


def test_an_image_that_is_there_is_only_named(build, faulty, daemon, proxy, unique):
    """The same image again is not loaded; a second name is added to the first."""
    first = build().load(faulty, unique)
    assert build().load(faulty, unique).id == first.id
    again = build().load(faulty, f"{unique}:other")
    assert again.id == first.id
    assert {name.rpartition("/")[2] for name in again.tags} == {
        f"{unique}:latest",
        f"{unique}:other",
    }
    assert proxy.loads == 1


def test_a_changed_image_shares_the_layers_of_the_former(build, faulty, daemon, proxy, unique):
    """Only the layers from the first changed one up are sent; the former image loses the name."""
    big = os.urandom(100_000).hex()
    former = build(big, "one").load(faulty, unique)
    proxy.sent = 0
    changed = build(big, "two").load(faulty, unique)
    assert proxy.sent < 50_000
    assert changed.id != former.id
    assert daemon.find(unique).id == changed.id
    assert proxy.loads == 2


def test_an_image_that_has_its_name_is_left_as_it_is(build, faulty, proxy, unique, monkeypatch):
    """Nothing is sent, and the name is not given again."""
    first = build().load(faulty, f"{unique}:1")
    name = first.tags[0]
    again = build().load(faulty, name)
    monkeypatch.setattr(Daemon, "tag", None)
    assert build().load(faulty, name).id == again.id == first.id
    assert proxy.loads == 1


def test_an_image_with_nothing_in_common_is_sent_whole(daemon, faulty, proxy, unique):
    """Its bytes are all at hand: nothing is asked for again, and one load does."""
    image = image_of(layer_of(tar_of(("x", unique))), config={"Labels": MINE | {LABEL: "1"}})
    loaded = load(faulty, image, unique, label=LABEL, whole=lambda: pytest.fail("asked for"))
    assert daemon.find(unique).id == loaded.id
    assert proxy.loads == 1
    assert daemon.can_start(loaded.id)


# ---- what the container engine lacks after all
# ------------------------------------------------------------


def test_layers_at_another_position(base, daemon, faulty, unique):
    """The container engine has both layers of the base, but the other way round; the image is right."""
    turned = image_of(*reversed(base.layers), config={"Cmd": ["x"]})
    there = described(daemon.find(f"{unique}-base"))
    bare = replace(there, config=turned.config, layers=tuple(reversed(there.layers)))
    one = Build(turned, bare, layer_of(tar_of(("own", "own"))))
    loaded = one.load(faulty, unique)
    assert [layer.diff_id for layer in described(loaded).layers] == [
        layer.diff_id for layer in one.image.layers
    ]
    assert daemon.can_start(unique)


def test_the_base_goes_between_look_and_load(build, faulty, daemon, proxy, unique, tmp_path):
    """The container engine refuses the part or keeps a half image; all of it is sent then."""
    one = build()
    proxy.faults = [first(lambda: daemon.remove(f"{unique}-base"))]
    loaded = one.load(faulty, unique)
    assert loaded.id == identity(daemon, one) == daemon.find(unique).id
    assert proxy.loads == 2
    assert one.whole >= 1
    assert daemon.can_start(unique)
    assert saved(daemon, unique, tmp_path / "image.tar").id == one.image.id


def test_a_half_image_is_not_taken_for_a_whole_one(build, faulty, daemon, proxy, unique, tmp_path):
    """A container engine that kept one without a layer, as containerd's store does, gets it whole."""
    one = build()
    half = one.on(one.base)
    own = {half.layers[-1].diff_id}
    with suppress(ContainerEngineError):
        daemon.load(docker_archive(half, unique, leave_out=own, both_indexes=True))
    loaded = one.load(faulty, unique)
    assert loaded.id == identity(daemon, one)
    assert daemon.can_start(unique)
    assert saved(daemon, unique, tmp_path / "image.tar").id == one.image.id


# ---- faults -------------------------------------------------------------------------------------

PASSING = {
    "the connection breaks in the head": cut_after(20),
    "the connection breaks in the middle": cut_after(2500),
    "the container engine answers 500": answer("500 Internal Server Error", REFUSAL),
    "it answers 500 at once": answer("500 Internal Server Error", REFUSAL, read=False),
    "it says so in the stream": answer("200 OK", b'{"error": "no space left on device"}'),
    "it says nothing, and has nothing": answer("200 OK", b'{"stream": "Loaded image"}'),
    "its answer is no JSON": answer("200 OK", b"<html>"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes(build, faulty, daemon, proxy, unique, fault):
    """The part does not go through: the whole image does, and nothing else is left behind."""
    one = build()
    before = every(daemon)
    proxy.faults = [PASSING[fault]]
    loaded = one.load(faulty, unique)
    assert loaded.id == identity(daemon, one) == daemon.find(unique).id
    assert proxy.loads == 2
    assert every(daemon) - before == {loaded.id}
    assert daemon.can_start(unique)


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_stays(build, faulty, daemon, proxy, unique, fault):
    """The error says what happened and what to do; the name and all images are as before."""
    former = build("former").load(daemon, unique)
    before = every(daemon)
    proxy.last = PASSING[fault]
    with pytest.raises(ContainerEngineError) as caught:
        build("new").load(faulty, unique)
    broke = "breaks" in fault or "no JSON" in fault
    assert type(caught.value) is (
        ContainerEngineUnavailableError if broke else ContainerEngineError
    )
    cause = "does not have it" if "nothing" in fault else "no space left on device"
    cause, fix = (
        ("connection to the container engine broke", "try again")
        if broke
        else (cause, "disk is full")
    )
    assert caught.match(f"{cause}.*{fix}")
    assert daemon.find(unique).id == former.id
    assert every(daemon) == before


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (OSError(errno.EIO, "the disk is broken"), OSError),
        (ImageContentError("not what was promised"), ImageContentError),
    ],
    ids=["disk", "content"],
)
def test_own_bytes_cannot_be_read(build, faulty, daemon, unique, fault, kind):
    """What fails on this side is said as it is, and not taken for the container engine's doing."""
    one = build()
    blob = one.layers[-1].blob

    def fail():
        raise fault

    broken = Layer(one.layers[-1].diff_id, Blob(blob.media_type, blob.digest, blob.size, fail))
    one.layers = (broken,)
    one.image = replace(one.image, layers=(*one.image.layers[:-1], broken))
    before = every(daemon)
    with pytest.raises(kind) as caught:
        one.load(faulty, unique)
    assert caught.value is fault
    assert daemon.find(unique) is None
    assert every(daemon) == before

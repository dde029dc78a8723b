"""Loading parts of an image ahead into a real container engine: what is there then, and afterwards."""

import json
import os
import time
import uuid

import pytest
import run_of_tests
from faulty_daemon import FaultyDaemon, answer
from image_making import every_image, image_of, layer_of, tar_of

from prefect.frozen import replace
from prefect.oci.archives.archive import docker_archive
from prefect.oci.daemon.ahead import PART, LoadingAhead
from prefect.oci.daemon.client import Daemon, Storage
from prefect.oci.daemon.image import described
from prefect.oci.daemon.loading import load
from prefect.oci.images import canonical_json, derive, with_manifest

pytestmark = pytest.mark.services

LABEL = "prefect.test-ahead"
MINE = {"prefect.test-ahead.of": f"{run_of_tests.name()}-{uuid.uuid4().hex[:8]}"}
LARGE = 2 << 20


@pytest.fixture
def proxy(base_image, tmp_path):
    """What stands between the test and the engine."""
    server = FaultyDaemon(os.environ["DOCKER_HOST"], tmp_path / "engine.sock")
    yield server
    server.stop()


@pytest.fixture
def daemon(proxy, monkeypatch):
    """The container engine behind the proxy, which afterwards holds nothing of the test."""
    monkeypatch.setenv("DOCKER_HOST", proxy.address)
    daemon = Daemon()
    yield daemon
    for image in mine(daemon):
        daemon.remove(image)


@pytest.fixture
def base(daemon, unique):
    """A base that the container engine has, as it tells of it."""
    image = image_of(layer_of(tar_of(("base", unique))), config={"Labels": MINE})
    daemon.load(docker_archive(image, f"{unique}-base", both_indexes=True))
    return described(daemon.find(f"{unique}-base"))


@pytest.fixture
def layers():
    """Two large layers, and a small one."""
    large = [layer_of(tar_of((name, os.urandom(LARGE)))) for name in "ab"]
    return [*large, layer_of(tar_of(("c", os.urandom(100))))]


def mine(daemon, label: str = "") -> set[str]:
    """Return the ids of this module's images, or of those with a label, named or not."""
    ((name, value),) = MINE.items()
    return every_image(daemon, f"{name}={value}", *([label] if label else []))


def offer(ahead, daemon, base, layers) -> None:
    """Offer layers, and wait until the container engine has a part with as many."""
    ahead.offer(base, layers)

    def there() -> bool:
        parts = [daemon.find(each) for each in mine(daemon, PART)]
        return any(p and len(described(p).layers) == 1 + len(layers) for p in parts)

    wait_until(there)


def wait_until(happens) -> None:
    until = time.monotonic() + 20
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.02)


def whole(base, layers):
    return derive(base, layers, {"Labels": MINE | {LABEL: "1"}})


@pytest.fixture
def classic(daemon):
    """Nothing is loaded ahead into any other store."""
    if daemon.storage is not Storage.CLASSIC:
        pytest.skip("it takes no parts")


@pytest.mark.usefixtures("classic")
def test_each_layer_is_sent_once_and_no_part_remains(daemon, proxy, base, layers, unique):
    """Parts grow by what they lack; the image lacks the rest, and has what it would have anyhow."""
    with LoadingAhead(daemon, unique, label=LABEL) as ahead:
        offer(ahead, daemon, base, layers[:1])
        sent = proxy.sent
        offer(ahead, daemon, base, layers[:2])
        assert LARGE < proxy.sent - sent < 1.5 * LARGE
        image, sent = whole(base, layers), proxy.sent
        loaded = load(
            daemon, image, unique, label=LABEL, kin=ahead.end(), whole=lambda: pytest.fail("asked")
        )
        assert proxy.sent - sent < LARGE / 10
    assert loaded.id == image.id
    assert described(loaded).layers == tuple(replace(each, blob=None) for each in image.layers)
    assert daemon.can_start(unique)
    assert not mine(daemon, PART)


@pytest.mark.usefixtures("classic")
def test_nothing_remains_of_what_was_not_made_to_its_end(daemon, base, layers, unique):
    """Making a later layer fails while the first is there, or on its way: both go."""
    before = mine(daemon)
    with pytest.raises(OSError, match="no disk"), LoadingAhead(daemon, unique, label=LABEL) as ahead:  # fmt: skip
        offer(ahead, daemon, base, layers[:1])
        ahead.offer(base, layers[:2])
        raise OSError("no disk")
    assert mine(daemon) == before
    assert daemon.find(unique) is None


@pytest.mark.usefixtures("classic")
def test_a_part_that_is_refused_is_sent_with_the_image(daemon, proxy, base, layers, unique):
    """It is no error, and nothing is tried ahead again."""
    proxy.faults = [answer("500 Internal Server Error", b'{"message": "no space"}')]
    image, loads = whole(base, layers), proxy.loads
    with LoadingAhead(daemon, unique, label=LABEL) as ahead:
        ahead.offer(base, layers[:1])
        wait_until(lambda: proxy.loads > loads)
        ahead.offer(base, layers[:2])
        kin = ahead.end()
        loaded = load(daemon, image, unique, label=LABEL, kin=kin, whole=lambda: image)
    assert loaded.id == image.id
    assert proxy.loads == loads + 2
    assert not mine(daemon, PART)


def test_what_is_small_is_not_worth_a_load(daemon, proxy, base, layers, unique):
    """Nor is what the container engine has already."""
    loads = proxy.loads
    with LoadingAhead(daemon, unique, label=LABEL) as ahead:
        ahead.offer(base, layers[2:])
        assert ahead.end() == []
    with LoadingAhead(daemon, unique, label=LABEL) as ahead:
        assert ahead.end() == []
    assert proxy.loads == loads


@pytest.mark.usefixtures("classic")
def test_what_killed_builds_left_goes_and_what_others_are_at_stays(daemon, base, layers, unique):
    """A part is removed by another build when it is older than an hour."""

    def part(created: str) -> str:
        image = image_of(layers[2], config={"Labels": MINE | {PART: created}})
        config = canonical_json(json.loads(image.config) | {"created": created})
        image = with_manifest(config, image.layers)
        daemon.load(docker_archive(image, None, both_indexes=True))
        return image.id

    left = part("2020-01-01T00:00:00Z")
    others = part(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    with LoadingAhead(daemon, unique, label=LABEL) as ahead:
        offer(ahead, daemon, base, layers[:1])
    assert daemon.find(left) is None
    assert daemon.find(others) is not None

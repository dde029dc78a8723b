"""What a build tells while it goes on: from the base to the registry, and to the container engine."""

import pytest
from steps_told import Told

from prefect.environments import ContainerEnvironment
from prefect.images.finding import find_in_daemon
from prefect.images.held import HeldImage
from prefect.steps import watched

pytestmark = pytest.mark.services


@pytest.fixture
def cold(tmp_path, monkeypatch):
    """Caches with nothing in them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PREFECT_CACHE_DIR", str(tmp_path / "cache"))


def whole(steps) -> bool:
    """Tell whether there is one, with an amount, and each is done."""
    return bool(steps) and all(0 < one.done == one.total for one in steps)


def test_each_long_thing_of_a_build_is_a_step(cold, base_image, registry, daemon, unique, flow):
    """Downloading, locking, installing, compiling, packing, pushing and loading are, with what was done of each."""
    told = Told()
    made = ContainerEnvironment(base_image, tag=f"{unique}:1", python_dependencies=["pygments"])
    with watched(told):
        made.push(f"{registry}/{unique}:1", flow)
        assert whole(told.of("Downloading from "))
        assert len(told.of("Locking the dependencies for Python")) == 1
        assert told.of("Installing ")
        compiled = told.of("Compiling pygments")
        assert whole(compiled)
        assert compiled[0].unit == "files"
        packed = told.of("Packing pygments")
        assert packed[0].done >= packed[0].total > 1_000_000  # of the archive, and of the files
        assert whole(told.of(f"Pushing to {registry}/{unique}:1"))
        assert whole(told.of("Compiling prefect"))
        told.steps.clear()
        made.load()
        loaded = told.of("Loading into the container engine")
        assert loaded[-1].done >= loaded[-1].total > 0
    assert told.ended[-1].seconds >= 0


def test_a_pull_counts_the_layers_that_come(base_image, registry, daemon, unique, flow):
    """The container engine's own count of bytes is told, to the end."""
    name = ContainerEnvironment(base_image).push(f"{registry}/{unique}:1", flow)
    assert name
    told = Told()
    with watched(told):
        find_in_daemon(f"{registry}/{unique}:1", HeldImage, pull=True)
    (pulled,) = told.of(f"Pulling {registry}/{unique}:1")
    assert pulled.done == pulled.total

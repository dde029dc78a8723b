"""`run_of_tests`, which cleans up after the tests: in an engine that may be its user's own."""

import io
import os
import uuid
from pathlib import Path

import pytest
import run_of_tests
from image_making import tar_of

from prefect.environments import ContainerEnvironment
from prefect.oci.cache.of_user import cache_directory


@pytest.fixture
def another_run(daemon):
    """The name of a run whose end removes what this test makes for it, if the test does not."""
    name = f"prefect-test-{uuid.uuid4().hex[:8]}"
    yield name
    run_of_tests.remove_made_by(name, daemon)


@pytest.mark.services
def test_only_what_a_run_made_is_removed(daemon, base_image, another_run, unique, flow):
    """Images and containers of somebody else that appear meanwhile stay, whoever they are like."""
    base = run_of_tests.labelled(daemon, os.environ["PREFECT_TEST_IMAGE"], another_run)
    own = ContainerEnvironment(base, tag=f"{another_run}-built", python_dependencies=[])
    built, _ = own.build(flow)
    ran = own.run()
    ran.wait()
    flow.name = f"{unique}: changed"  # the former image loses its name
    changed, _ = own.build(flow)
    derived, _ = daemon.images.build(fileobj=io.BytesIO(f"FROM {base}\nENV A=b\n".encode()))
    started = daemon.containers.run(derived.id, "true", detach=True)
    daemon.api.import_image_from_data(tar_of(("a", "A")), repository=f"{another_run}-imported")

    foreign = ContainerEnvironment(base_image, tag=unique, python_dependencies=[])
    kept, _ = foreign.build(flow)
    runs = foreign.run()
    daemon.api.import_image_from_data(tar_of(("a", unique)), repository=f"{unique}-imported")
    both = daemon.images.get(f"{unique}-imported")
    both.tag(f"{another_run}-a-second-name")

    run_of_tests.remove_made_by(another_run, daemon)
    containers = {container.id for container in daemon.containers.list(all=True)}
    assert not {ran.id, started.id} & containers
    assert runs.id in containers
    images = {image.id: image.tags for image in daemon.images.list(all=True)}
    assert not {built.id, changed.id, derived.id} & set(images)
    assert not [tag for tags in images.values() for tag in tags if another_run in tag]
    assert f"{unique}:latest" in images[kept.id]
    assert images[both.id] == [f"{unique}-imported:latest"]
    assert daemon.images.get(os.environ["PREFECT_TEST_IMAGE"])


def test_the_cache_is_the_runs_own():
    """Nothing that the tests make or find is in a cache of the user's."""
    directory = run_of_tests.directory()
    assert Path(os.environ["XDG_CACHE_HOME"]).parent == directory
    assert cache_directory() == directory / "cache" / "prefect"
    assert not Path(os.environ["UV_CACHE_DIR"]).is_relative_to(Path.home() / ".cache")

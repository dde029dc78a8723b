"""`prefect.images.finding`: images by their names, on a real container engine and a real registry."""

import os

import pytest

from prefect.environments import ContainerEnvironment
from prefect.errors import ImageError
from prefect.images.finding import find_in_daemon
from prefect.images.held import HeldImage
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.image import DaemonImage
from prefect.oci.references import Reference

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", params=["services", "podman"])
def address(request, base_image):
    """Where the container engine is."""
    if request.param == "podman":
        return request.getfixturevalue("podman")
    return os.environ["DOCKER_HOST"]


@pytest.fixture
def pushed(address, base_image, registry, unique, flow, monkeypatch):
    """A flow image that the registry has and the container engine has not, by digest."""
    monkeypatch.setenv("DOCKER_HOST", address)
    return ContainerEnvironment(base_image).push(f"{registry}/{unique}:1", flow)


def test_what_is_not_there_is_pulled_where_that_is_asked_for(pushed, registry, unique, flow):
    """By its tag, with lines that tell of it; then it is there, and nothing is pulled."""
    name = f"{registry}/{unique}:1"
    with pytest.raises(ImageError, match=f"docker pull {name}"):
        find_in_daemon(name, HeldImage)
    lines = []
    image = find_in_daemon(name, HeldImage, pull=True, progress=lines.append)
    assert image.manifest(None).flow == flow.serialize()
    assert lines[0] == f"Pulling {name}"
    lines.clear()
    assert find_in_daemon(name, HeldImage, pull=True, progress=lines.append).id == image.id
    assert find_in_daemon(name, HeldImage).id == image.id
    assert lines == []


def test_by_its_digest_it_is_that_very_image(pushed, registry, unique):
    """With a tag beside it or without; another digest is nowhere."""
    name, _, digest = pushed.partition("@")
    image = find_in_daemon(pushed, HeldImage, pull=True)
    assert Daemon().find(pushed).has_digest(digest)
    assert find_in_daemon(f"{registry}/{unique}:1@{digest}", HeldImage, pull=True).id == image.id
    with pytest.raises(ImageError, match="cannot be pulled"):
        find_in_daemon(f"{Reference.parse(name).name}@sha256:{'0' * 64}", HeldImage, pull=True)


def test_a_bare_name_is_not_pulled(pushed, unique):
    """It may be a slip; the error says what a name that is pulled looks like."""
    lines = []
    with pytest.raises(ImageError, match=r"name the registry that has it, such as ghcr\.io"):
        find_in_daemon(f"{unique}:1", HeldImage, pull=True, progress=lines.append)
    assert lines == []


def test_an_environment_runs_what_its_tag_names(pushed, base_image, registry, unique):
    """Built and pushed elsewhere."""
    container = ContainerEnvironment(base_image, tag=f"{registry}/{unique}:1").run()
    try:
        assert container.wait(timeout=60)["StatusCode"] == 0
        assert "the total is 12" in container.logs().decode()
    finally:
        container.remove(force=True, v=True)


def test_another_image_than_was_asked_for_by_digest_is_none(pushed, monkeypatch):
    """Whatever the container engine says."""
    monkeypatch.setattr(DaemonImage, "has_digest", lambda *_: False)
    with pytest.raises(ImageError, match="something else by that digest"):
        Daemon().pull(pushed)

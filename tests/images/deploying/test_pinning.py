"""`prefect.images.deploying.pinning`: an image by its digest, as every platform understands it."""

import pytest

from prefect.errors import ArtifactError, ImageError
from prefect.images.deploying import pinning
from prefect.images.deploying.pinning import Pinned, pin
from prefect.oci.references import Reference

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("docker.io/team/etl", "docker.io/team/etl"),
        ("index.docker.io/etl", "docker.io/library/etl"),
        ("ghcr.io/team/etl", "ghcr.io/team/etl"),
        ("127.0.0.1:5000/etl", "127.0.0.1:5000/etl"),
    ],
)
def test_a_name_has_its_registry(name, full):
    """Podman, and clusters with CRI-O, would else ask their own list of registries."""
    reference = Reference.parse(f"{name}@{DIGEST}")
    assert Pinned(reference, None, "1", "", None).name == f"{full}@{DIGEST}"


@pytest.mark.parametrize("name", ["etl", "etl:1", "team/etl:1", "localhost/etl:1", f"etl@{DIGEST}"])
def test_a_name_without_a_registry_is_asked_of_none(name, monkeypatch):
    """It may be a container engine's own, and stand for something else in Docker Hub."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setattr(pinning, "registry", None)
    with pytest.raises(ImageError, match=r"names no registry.*push it"):
        pin(name)


def test_what_is_no_name_is_said_to_be_none():
    """Before anybody is asked."""
    with pytest.raises(ArtifactError, match="lower-case"):
        pin("ghcr.io/Team/etl:1")

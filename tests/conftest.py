"""What several tests need: real parts, and flows that tell when they are loaded."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from prefect import Flow, Parameter, task

SERVICES = "run `make services`, and source .services/env (`make test` does both)"


@pytest.fixture(scope="session")
def base_image() -> str:
    """The Python base image in the test registry; absent services fail the test, not skip it."""
    for variable in ("DOCKER_HOST", "PREFECT_TEST_REGISTRY", "PREFECT_TEST_IMAGE"):
        if not os.environ.get(variable):
            pytest.fail(
                f"{variable} is not set: {SERVICES}, or leave these out with ENGINE_TESTS=0"
            )
    return os.environ["PREFECT_TEST_IMAGE"]


@pytest.fixture(scope="session")
def registry(base_image) -> str:
    """The test registry, as host:port."""
    return os.environ["PREFECT_TEST_REGISTRY"]


@pytest.fixture(scope="session")
def engine(base_image):
    """Return the client of a real engine, which afterwards holds nothing of the tests."""
    import docker

    client = docker.from_env()
    before = {image.id for image in client.images.list()}
    containers = {container.id for container in client.containers.list(all=True)}
    yield client
    for container in client.containers.list(all=True):
        if container.id not in containers:
            container.remove(force=True, v=True)
    for image in client.images.list():
        if image.id not in before:
            client.images.remove(image.id, force=True)
    client.close()


@pytest.fixture
def unique() -> str:
    """Return a name that nothing else has."""
    return f"prefect-test-{uuid.uuid4().hex[:12]}"


@task
def double(x):
    return 2 * x


@task
def total(xs):
    print("the total is", sum(xs))
    return sum(xs)


@task
def first_numbers(n):
    return list(range(n))


@pytest.fixture
def flow() -> Flow:
    """A flow with a parameter, a mapped task and a sum."""
    with Flow("sums & products") as made:
        total(double.map(first_numbers(Parameter("n", default=4))))
    return made


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def canary(tmp_path) -> Canary:
    """An object that makes a directory, `canary.path`, when it is unpickled."""
    return Canary(tmp_path / "canary-was-loaded")


def python(
    *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess:
    """Run this Python in a process of its own, away from the checkout."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def run_python():
    """Return a function that runs this Python in a process of its own."""
    return python

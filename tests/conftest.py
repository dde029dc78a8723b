"""What several tests need: real parts, and flows that tell when they are loaded."""

import os
import subprocess
import sys
import tempfile
import time
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
                f"{variable} is not set: {SERVICES}, or leave these out with SERVICE_TESTS=0"
            )
    return os.environ["PREFECT_TEST_IMAGE"]


@pytest.fixture(scope="session")
def registry(base_image) -> str:
    """The test registry, as host:port."""
    return os.environ["PREFECT_TEST_REGISTRY"]


@pytest.fixture(scope="session")
def daemon(base_image):
    """Return the client of a real container engine, which afterwards holds nothing of the tests."""
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


@pytest.fixture(scope="session")
def podman(registry):
    """The address of podman's service, which speaks the Docker Engine's language."""
    if address := os.environ.get("PREFECT_TEST_PODMAN"):  # another one: scripts/newer_engines.py
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="prefect-podman-") as directory:
        work = Path(directory)
        insecure = f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n'
        (work / "registries.conf").write_text(insecure)
        command = [
            "podman", f"--root={work}/storage", f"--runroot={work}/run", f"--tmpdir={work}/tmp",
            "--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file",
            "system", "service", "--time=0", f"unix://{work}/podman.sock",
        ]  # fmt: skip
        # What it mounts and starts is gone with it, and it with the tests.
        space = ["setpriv", "--pdeathsig=KILL", "unshare", "-mpf", "--propagation=slave",
                 "--kill-child", "--mount-proc"]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")}
        environment |= {
            "CONTAINERS_REGISTRIES_CONF": f"{work}/registries.conf",
            "TMPDIR": directory,
        }
        with (work / "log").open("wb") as log:
            service = subprocess.Popen(
                [*(() if os.geteuid() else space), *command],
                env=environment,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + 30
            while not (work / "podman.sock").exists():
                if service.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"podman does not start ({SERVICES}): {(work / 'log').read_text()}")
                time.sleep(0.02)
            yield f"unix://{work}/podman.sock"
        finally:
            service.kill()  # unshare ignores less, and takes all that it has started with it
            service.wait(timeout=30)


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

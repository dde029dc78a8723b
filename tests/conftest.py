"""What several tests need: real parts, and flows that tell when they are loaded."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest
import run_of_tests
from hypothesis import settings

from prefect import Flow, Parameter, task

# How long an example takes says something of the machine, and nothing of what it tests.
settings.register_profile("prefect", deadline=None)
settings.load_profile("prefect")

SERVICES = "run `make services`, and source .services/env (`make test` does both)"


def pytest_configure(config) -> None:
    """Begin a run; what distributes the tests starts the processes that belong to it."""
    if not hasattr(config, "workerinput"):
        # Who ends the run by SIGTERM ends it as Ctrl-C does: what it made is removed. And what shells
        # start in the background ignores Ctrl-C, which some tests send.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        run_of_tests.begin()


def pytest_unconfigure(config) -> None:
    """Remove what the run made, when its last test has ended."""
    if not hasattr(config, "workerinput"):
        run_of_tests.end()


@pytest.fixture(scope="session")
def services() -> None:
    """The real parts; absent ones fail the test, not skip it."""
    for variable in ("DOCKER_HOST", "PREFECT_TEST_REGISTRY", "PREFECT_TEST_IMAGE"):
        if not os.environ.get(variable):
            pytest.fail(
                f"{variable} is not set: {SERVICES}, or leave these out with SERVICE_TESTS=0"
            )


@pytest.fixture(scope="session")
def registry(services) -> str:
    """The test registry, as host:port."""
    return os.environ["PREFECT_TEST_REGISTRY"]


@pytest.fixture(scope="session")
def daemon(services):
    """The client of a real container engine, in which the run's end removes what the run made."""
    with contextlib.closing(run_of_tests.client_of_engine()) as client:
        yield client


@pytest.fixture(scope="session")
def base_image(services) -> str:
    """The Python base image in the test registry, with the run's label, as all on it has it then."""
    with (
        run_of_tests.alone("base-image"),
        contextlib.closing(run_of_tests.client_of_engine()) as client,
    ):
        known = run_of_tests.directory() / "base-image"
        if not known.exists():
            original = os.environ["PREFECT_TEST_IMAGE"]
            known.write_text(run_of_tests.labelled(client, original, run_of_tests.name()))
        return known.read_text()


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
    """Return a name that nothing else has, of a kind that the run's end removes."""
    return f"{run_of_tests.name()}-{uuid.uuid4().hex[:12]}"


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


@pytest.fixture(autouse=True)
def _masks_as_before():
    """What a task's secret has masked until the process ends is nothing to other tests."""
    from prefect.secrets import masking

    before = list(masking._active)
    yield
    masking._active[:] = before
    masking._learned.clear()

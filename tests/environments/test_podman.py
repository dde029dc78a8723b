"""`ContainerEnvironment` and the command with podman's service in the place of a Docker Engine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prefect import Flow, Parameter, task
from prefect.environments import ContainerEnvironment
from prefect.errors import ContainerEngineError, ImageBuildError, PlaceError
from prefect.oci.daemon.client import Daemon, Storage
from prefect.places.engine.container import RunnableImage

pytestmark = pytest.mark.services


@task
def report(name, salt):
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    kinds = [line.split()[2] for line in mounts if " /run/secrets " in line]
    print(f"hello {name}, {salt}, secrets in {kinds}, token {len(os.environ.get('TOKEN', ''))}")


def make_flow(salt: str) -> Flow:
    with Flow("Podman report") as made:
        report(Parameter("name", default="world"), salt)
    return made


@pytest.fixture(scope="module")
def built(podman, base_image):
    """A flow image with a secret on a base that podman pulled from the registry."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", podman)
        patch.delenv("TOKEN", raising=False)
        environment = ContainerEnvironment(base_image, secrets=["TOKEN"])
        image, _ = environment.build(make_flow("first"))
        yield environment, image


@pytest.fixture
def environment(built, podman, monkeypatch):
    """The environment of the built image, with a value for its secret."""
    monkeypatch.setenv("DOCKER_HOST", podman)
    monkeypatch.setenv("TOKEN", "a-token-of-the-test")
    return built[0]


def ended(container) -> tuple[int, str]:
    """Wait for a container; return its exit status and its logs."""
    status = container.wait(timeout=60)["StatusCode"]
    logs = container.logs().decode()
    container.remove(force=True, v=True)
    return status, logs


def run_command(*arguments: str) -> subprocess.CompletedProcess:
    """Run the command `prefect` as a user does."""
    command = [str(Path(sys.executable).with_name("prefect")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_it_is_known_for_podman(environment, built, base_image):
    """The image is found by its id and by the short name that podman makes a long one of."""
    daemon = Daemon()
    assert daemon.storage is Storage.PODMAN
    assert daemon.find(base_image) is not None
    assert daemon.find("podman-report").id == daemon.find(built[1].id).id == built[1].id
    assert built[1].tags == ["docker.io/library/podman-report:latest"]


def test_the_flow_runs_with_its_secret(environment):
    """The secret comes through an exec's stream into memory; parameters arrive as well."""
    status, logs = ended(environment.run(parameters={"name": "podman"}))
    assert "hello podman, first, secrets in ['tmpfs'], token 19" in logs
    assert status == 0


def test_a_terminal_is_kept_for_more(environment):
    """A container with a terminal stays up for exec_run, in which the secret is at hand."""
    container = environment.run(tty=True, command="true")
    try:
        result = container.exec_run(["sh", "-c", "cat /proc/1/comm && ls /run/secrets"])
        assert result.exit_code == 0
    finally:
        container.remove(force=True, v=True)


def test_nothing_is_loaded_twice(environment, built, monkeypatch):
    """An unchanged flow is not loaded again; of a changed one, a few kilobytes are."""
    sent = []
    load = Daemon.load

    def counting(self, archive, progress=None):
        chunks = list(archive)
        sent.append(sum(map(len, chunks)))
        load(self, chunks, progress)

    monkeypatch.setattr(Daemon, "load", counting)
    assert environment.build(make_flow("first"))[0].id == built[1].id
    assert sent == []
    changed, _ = environment.build(make_flow("second"))
    assert len(sent) == 1
    assert sent[0] < 100_000
    assert changed.id != built[1].id
    assert "hello world, second" in ended(environment.run())[1]


def test_the_command_looks_into_it_and_runs_it(environment):
    """`prefect info` reads the manifest through an archive; `prefect run` ends as the flow does."""
    shown = run_command("info", "image:podman-report")
    assert shown.returncode == 0, shown.stderr
    assert "Podman report" in shown.stdout
    assert RunnableImage(Daemon(), "podman-report").manifest().flow["name"] == "Podman report"
    ran = run_command("run", "image:podman-report", "--parameter", "name=you")
    assert ran.returncode == 0, ran.stderr
    assert "hello you" in ran.stdout


def test_setup_commands_are_run_by_podman(environment, base_image, unique):
    """What they made is in the image, whose layers come out of podman for an export."""
    own = ContainerEnvironment(
        base_image, tag=unique, setup=["echo by-setup > /etc/made"], network="host",
        python_dependencies=[],
    )  # fmt: skip
    own.build()
    assert ended(own.run(["cat", "/etc/made"])) == (0, "by-setup\n")


def test_a_setup_command_that_fails_is_named(environment, base_image):
    """The error has the step, as podman tells it, and the end of its output alone."""
    own = ContainerEnvironment(base_image, setup=["echo one", "echo wrong; false"], network="host")
    with pytest.raises(ImageBuildError, match=r"failed at STEP .*echo wrong; false") as caught:
        own.build()
    assert str(caught.value).splitlines()[-1].strip() == "wrong"
    assert "one" not in str(caught.value)


def test_what_podman_would_leave_out_is_refused(environment, tmp_path):
    """A path that is not there, which it makes, and GPUs, without which it runs."""
    with pytest.raises(PlaceError, match="make it first"):
        environment.run(volumes=[f"{tmp_path}/no:/in"])
    assert not (tmp_path / "no").exists()
    with pytest.raises(ContainerEngineError, match="podman gives GPUs by its own command"):
        environment.run(gpus="all")
    with pytest.raises(ContainerEngineError, match="or a number"):
        environment.run(user="nobody-of-this-name")


def test_a_container_gets_what_docker_gives_it(environment, tmp_path):
    """A volume, a variable, limits, another user, and a directory for files."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir(mode=0o777)
    script = "echo $MODE; id -u; touch /opt/prefect/output/made && cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
    status, logs = ended(
        environment.run(
            ["sh", "-c", f"{script} || cut -d' ' -f1 /sys/fs/cgroup/cpu.max"],
            volumes=[f"{tmp_path}/in:/in:ro"], env={"MODE": "fast"}, cpus=0.5, memory="64m",
            workdir="/in", output=tmp_path / "out",
        )
    )  # fmt: skip
    assert (status, logs.split()) == (0, ["fast", "0", "50000"])
    assert (tmp_path / "out" / "made").exists()

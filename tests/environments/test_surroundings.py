"""What a container of `ContainerEnvironment.run` gets of its machine, on real container engines."""

import contextlib
import os
import threading
from pathlib import Path

import pytest
from daemon_relay import DaemonRelay

import prefect
from prefect import Flow, task
from prefect.environments import ContainerEnvironment
from prefect.errors import ContainerEngineError, PlaceError, SecretError
from prefect.oci.daemon.client import Daemon
from prefect.places.engine.container import RunnableImage
from prefect.places.surroundings import Surroundings
from prefect.places.work import work_in_image

pytestmark = pytest.mark.services
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@task
def look():
    """Write where a flow may, and tell what is there."""
    Path("relative.txt").write_text("relative")
    Path.home().joinpath(".cache-of-test").write_text("home")
    out = prefect.context.get("output_dir")
    if out is not None:
        (out / "deep").mkdir(exist_ok=True)
        (out / "deep" / "made.txt").write_text("made")
    found = {
        "cwd": str(Path.cwd()), "user": os.getuid(), "mode": os.environ.get("MODE"), "out": str(out),
        "secret": len(os.environ.get("TOKEN", "")), "thread": threading.current_thread().name,
        "beside": Path("beside.txt").read_text() if Path("beside.txt").exists() else None,
    }  # fmt: skip
    for name, value in found.items():
        print(f"{name}={value}")


def run(environment, **arguments) -> dict[str, str]:
    """Run the flow in a container; return what it tells."""
    container = environment.run(**arguments)
    try:
        status = container.wait(timeout=60)["StatusCode"]
        logs = container.logs().decode()
    finally:
        with contextlib.suppress(Exception):
            container.remove(force=True, v=True)
    assert status == 0, logs
    return dict(line.split("=", 1) for line in logs.splitlines() if "=" in line)


def build(base: str, **arguments) -> ContainerEnvironment:
    environment = ContainerEnvironment(base, secrets=["TOKEN"], **arguments)
    with Flow("surroundings", environment=environment) as flow:
        look()
    environment.load(flow)
    return environment


@pytest.fixture(scope="module")
def roots(base_image):
    """An image that runs as root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TOKEN", raising=False)
        return build(base_image)


@pytest.fixture(scope="module")
def apps(base_image):
    """An image whose user owns neither its home nor the working directory, where a file is."""
    lines = [
        "RUN mkdir /app && echo of the base > /app/beside.txt && useradd --uid 1234 app",
        "WORKDIR /app",
        "USER app",
    ]
    context = {"Dockerfile": "\n".join([f"FROM {base_image}", *lines]).encode()}
    base = Daemon().build(context).id
    name = f"{base_image.rpartition(':')[0]}:own-user"
    Daemon().tag(base, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TOKEN", raising=False)
        return build(name)


@pytest.fixture(autouse=True)
def token(monkeypatch):
    """The flow's secret has a value."""
    monkeypatch.setenv("TOKEN", "a-token-of-the-test")


def owners(directory: Path) -> set[tuple[int, int]]:
    return {(each.stat().st_uid, each.stat().st_gid) for each in directory.rglob("*")}


@needs_root
def test_what_root_makes_in_the_output_directory_is_its_owners(roots, tmp_path):
    """With its secret, variables and an executor of the run's choice."""
    os.chown(tmp_path, 5000, 5001)
    told = run(roots, output=tmp_path, env={"MODE": "fast"}, executor="threads:2")
    assert told["user"] == "0"
    assert told["out"] == "/opt/prefect/output"
    assert (told["mode"], told["secret"], told["thread"]) == ("fast", "19", "prefect-task")
    assert (tmp_path / "deep" / "made.txt").read_text() == "made"
    assert owners(tmp_path) == {(5000, 5001)}


@needs_root
def test_a_user_that_owns_nothing_can_run_a_flow_and_make_files(apps, tmp_path):
    """Its own user; whoever owns the output directory; and a user whom the run names."""
    told = run(apps)
    assert (told["user"], told["beside"], told["out"]) == ("1234", "of the base", "None")
    assert told["cwd"].startswith("/tmp/")
    os.chown(tmp_path, 5000, 5001)
    assert run(apps, output=tmp_path)["user"] == "5000"
    assert owners(tmp_path) == {(5000, 5001)}
    assert run(apps, output=tmp_path / "new", user=4321)["user"] == "4321"
    assert owners(tmp_path / "new") == {(4321, 0)}
    assert run(apps, output=tmp_path / "named")["user"] == "1234"
    assert {uid for uid, _ in owners(tmp_path / "named")} == {1234}
    assert run(apps, user="root", workdir="/opt")["cwd"] == "/opt"


def test_volumes_are_seen_by_path_and_what_is_not_there_is_refused(roots, tmp_path):
    """Nothing is made in its place, and no container is left."""
    (tmp_path / "beside.txt").write_text("of this machine")
    told = run(roots, volumes=[f"{tmp_path}:/in:ro"], workdir="/opt", cpus=0.5, memory="512m")
    assert told["beside"] == "None"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "beside.txt").write_text("of this machine")
    told = run(roots, volumes=[f"{tmp_path}/data:/data"], workdir="/data")
    assert told["beside"] == "of this machine"
    assert (tmp_path / "data" / "relative.txt").exists()
    with pytest.raises(PlaceError, match="make it first"):
        roots.run(volumes=[f"{tmp_path}/no:/in"])
    assert not (tmp_path / "no").exists()


def test_files_come_from_a_container_engine_elsewhere_once_the_run_has_ended(
    apps, tmp_path, monkeypatch
):
    """Where somebody waits for that; `run` does not, and says so."""
    relay = DaemonRelay(os.environ["DOCKER_HOST"])
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{relay.port}")
    try:
        image = RunnableImage.named(apps.built_tag)
        work = work_in_image(
            image, parameters={}, surroundings=Surroundings.given(output=tmp_path / "out")
        )
        started = image.start(work)
        try:
            assert started.wait() == 0
            assert b"out=/opt/prefect/output" in b"".join(line for _, line in started.logs())
        finally:
            started.remove()
        with pytest.raises(PlaceError, match="prefect run --output"):
            apps.run(output=tmp_path / "new")
        work = work_in_image(
            image, parameters={}, surroundings=Surroundings.given(output=tmp_path / "stopped")
        )
        stopped = image.start(work)
        try:
            list(stopped.logs())
        finally:
            stopped.remove()  # as after Ctrl-C, when nobody waits any more
    finally:
        relay.stop()
    assert (tmp_path / "out" / "deep" / "made.txt").read_text() == "made"
    assert owners(tmp_path / "out") == {(os.geteuid(), os.getegid())}
    assert (tmp_path / "stopped" / "deep" / "made.txt").read_text() == "made"
    assert not (tmp_path / "new").exists()


def test_an_executor_that_the_image_lacks_is_bad_input_of_the_run(roots):
    """The logs say what to build the image with."""
    container = roots.run(executor="dask")
    try:
        assert container.wait(timeout=60)["StatusCode"] == 2
        assert "-r 'dask[distributed]'" in container.logs().decode()
    finally:
        container.remove(force=True, v=True)


def test_what_makes_no_sense_or_cannot_be_had_starts_nothing(roots):
    """Of another type, of no sense, a secret as a variable, GPUs that are not there."""
    for wrong in ({"volumes": "./a:/b"}, {"env": ["A=1"]}, {"memory": 1.5}, {"executor": 8}):
        with pytest.raises(TypeError):
            roots.run(**wrong)
    for wrong in (
        {"volumes": ["./a"]}, {"gpus": "some"}, {"workdir": "in"}, {"executor": "cloud"},
        {"command": "true", "executor": "threads"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r".+"):
            roots.run(**wrong)
    with pytest.raises(SecretError, match="in memory"):
        roots.run(env={"URL": "https://a-token-of-the-test@host"})
    with pytest.raises(ContainerEngineError, match="NVIDIA"):
        roots.run(gpus="all")

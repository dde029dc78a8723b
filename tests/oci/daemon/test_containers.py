"""`prefect.oci.daemon.containers`, on a real container engine."""

import pytest

from prefect.errors import ContainerEngineError, ImageError
from prefect.oci.daemon import containers
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.settings import Mount, Settings, device_request

pytestmark = pytest.mark.services


@pytest.fixture
def client(base_image) -> Daemon:
    """A client of the container engine."""
    return Daemon()


@pytest.fixture
def start(client, base_image):
    """Return a function that starts a container of the base, which is removed afterwards."""
    image = (client.find(base_image) or client.pull(base_image)).id
    started = []

    def start(*command: str, **settings):
        started.append(containers.start(client, image, command, Settings(**settings)))
        return started[-1]

    yield start
    for container in started:
        container.remove()


def test_output_and_status(start):
    """Lines come as they are written, of both streams; the exit status is the program's."""
    container = start("sh", "-c", "echo one; sleep 0.2; echo two >&2; exit 3", network="none")
    assert list(container.logs()) == [(1, b"one\n"), (2, b"two\n")]
    assert container.wait() == 3
    assert container.last_lines() == "one\ntwo"
    container.remove()
    container.remove()
    assert container.last_lines() == ""
    with pytest.raises(ContainerEngineError, match="follow the logs"):
        list(container.logs())


def test_a_terminal_has_one_stream(start):
    """It comes without frames."""
    logs = list(start("sh", "-c", "echo out; echo err >&2", tty=True).logs())
    assert {number for number, _ in logs} == {1}
    assert b"".join(data for _, data in logs) == b"out\r\nerr\r\n"


def test_what_is_sent_arrives(start):
    """More than a socket's buffer holds, on the standard input of a program inside; in memory only."""
    container = start("sleep", "60", tmpfs={"/memory": "size=4m"})
    data = b"0123456789" * 100_000 + b"\n"
    script = (
        "read line; printf %s $line | wc -c > /memory/size; grep -q tmpfs.*/memory /proc/mounts"
    )
    containers.send(container, ["sh", "-c", script], data)
    containers.send(container, ["grep", "-q", "1000000", "/memory/size"], b"")


def test_a_program_that_fails_is_told_of(start):
    """With what it said, of both streams."""
    container = start("sleep", "60")
    script = "echo out; sleep 0.1; printf 'bad\\033[2J' >&2; exit 4"
    with pytest.raises(ContainerEngineError, match=r"(?s)sh failed in .*: out\nbad\\x1b"):
        containers.send(container, ["sh", "-c", script], b"")
    with pytest.raises(ContainerEngineError, match="no-such-program"):
        containers.send(container, ["no-such-program"], b"")
    containers.stop(container.daemon, container.id, timeout=0)
    with pytest.raises(ContainerEngineError, match="reach into"):
        containers.send(container, ["true"], b"")
    containers.stop(container.daemon, container.id)  # as often as one likes
    container.remove()
    containers.stop(container.daemon, container.id)


def test_what_does_not_start_leaves_nothing_behind(client, base_image, daemon, unique):
    """No image, or no such program in it."""
    with pytest.raises(ImageError, match=unique):
        containers.start(client, unique, ["true"])
    own = client.build({"Dockerfile": f"FROM {base_image}\nLABEL of={unique}\n".encode()})
    with pytest.raises(ContainerEngineError, match="cannot start"):
        containers.start(client, own.id, ["/no/such/program"])
    assert daemon.containers.list(all=True, filters={"ancestor": own.id}) == []


def test_proxies_of_dockers_configuration_reach_containers(base_image, tmp_path, monkeypatch):
    """As variables in both spellings, as with the command `docker`."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"noProxy": "here"}}}')
    container = containers.start(Daemon(), base_image, ["sh", "-c", "echo $NO_PROXY $no_proxy"])
    assert list(container.logs()) == [(1, b"here here\n")]
    container.remove()


def test_a_container_gets_what_it_is_to_get(start, unique, tmp_path):
    """Volumes by path and by name, variables, limits, a user, a working directory, a network."""
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_text("of this machine")
    script = """
        cat /labelled/file; cat /in/file; (echo > /in/new) 2>/dev/null || echo " read-only"; grep -c /named /proc/mounts
        echo $A $NAMED; id -u; id -g; pwd; ls /sys/class/net
        cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max
        cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d" " -f1 /sys/fs/cgroup/cpu.max
    """
    mounts = (
        Mount(str(tmp_path), "/in", writable=False),
        Mount(unique, "/named"),
        Mount(str(tmp_path), "/labelled", writable=False, label="z"),
    )
    container = start(
        "sh", "-c", script, mounts=mounts, env=(("A", "1 2"), ("NAMED", "")), memory=64 << 20,
        cpus=0.5, user="4321:4322", workdir="/in", network="none",
    )  # fmt: skip
    try:
        assert b"".join(data for _, data in container.logs()).decode().splitlines() == [
            "of this machineof this machine read-only", "1", "1 2", "4321", "4322", "/in", "lo",
            str(64 << 20), "50000",
        ]  # fmt: skip
        assert container.wait() == 0
    finally:
        container.remove()
        with container.daemon.http.request("DELETE", f"/volumes/{unique}", "remove a volume"):
            pass


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mounts": (Mount("/no/such/path", "/in"),)}, r"/no/such/path\. Make it first"),
        ({"user": "nobody-of-this-name"}, r"nobody-of-this-name.*or a number"),
        ({"network": "no-such-network"}, r"no-such-network not found.*docker network ls"),
        ({"gpus": "all"}, r"NVIDIA Container Toolkit"),
        ({"cpus": 4096.0}, r"Range of CPUs"),
        ({"mounts": (Mount("/tmp", "/in"), Mount("/usr", "/in"))}, r"have one target"),
    ],
)
def test_what_cannot_be_had_is_said_with_what_to_do(start, settings, says):
    """By the engine's words and a fix."""
    with pytest.raises(ContainerEngineError, match=f"(?s){says}"):
        start("true", **settings)


def test_gpus_are_asked_for_as_docker_asks():
    """All, a number, or named ones."""
    request = {"Driver": "", "Capabilities": [["gpu"]]}
    assert device_request("all") == request | {"Count": -1}
    assert device_request("2") == request | {"Count": 2}
    assert device_request('"device=0,GPU-3a"') == request | {"DeviceIDs": ["0", "GPU-3a"]}
    for wrong in ("0", "some", "device=", "-1"):
        with pytest.raises(ValueError, match="names no GPUs"):
            device_request(wrong)


def test_what_a_container_takes_is_told(start):
    """Seconds of CPU that grow as it works, and memory; an error of one that is not there any more."""
    container = start(
        "sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo; sleep 60"
    )
    next(container.logs())
    seconds, memory = container.usage()
    assert seconds > 0
    assert memory >= 0
    container.remove()
    with pytest.raises(ContainerEngineError):
        container.usage()

"""`prefect.oci.daemon.containers`, on a real container engine."""

import pytest

from prefect.errors import ContainerEngineError, ImageError
from prefect.oci.daemon import containers
from prefect.oci.daemon.client import Daemon

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
        started.append(containers.start(client, image, command, **settings))
        return started[-1]

    yield start
    for container in started:
        container.remove()


def test_output_and_status(start):
    """Lines come as they are written, of both streams; the exit status is the program's."""
    container = start("sh", "-c", "echo one; sleep 0.2; echo two >&2; exit 3", network="none")
    assert b"".join(container.logs()) == b"one\ntwo\n"
    assert container.wait() == 3
    assert container.last_lines() == "one\ntwo"
    container.remove()
    container.remove()
    assert container.last_lines() == ""
    with pytest.raises(ContainerEngineError, match="follow the logs"):
        list(container.logs())


def test_a_terminal_has_one_stream(start):
    """It comes without frames."""
    assert b"".join(start("sh", "-c", "echo out; echo err >&2", tty=True).logs()) == (
        b"out\r\nerr\r\n"
    )


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
    assert list(container.logs()) == [b"here here\n"]
    container.remove()

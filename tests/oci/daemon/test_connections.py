"""`prefect.oci.daemon.connections`: the ways to a real container engine, and what ends on them."""

import gc
import hashlib
import json
import os
import ssl
from importlib.util import find_spec
from pathlib import Path

import pytest
from daemon_relay import DaemonRelay, write_ssh
from real_registry import Authority

from prefect.errors import ContainerEngineError, ContainerEngineUnavailableError
from prefect.oci.daemon import containers, objects
from prefect.oci.daemon.client import Daemon

pytestmark = pytest.mark.services


@pytest.fixture
def address(base_image, monkeypatch) -> str:
    """Where the container engine is; no variable names it any more."""
    found = os.environ["DOCKER_HOST"]
    for name in ("HOST", "CONTEXT", "TLS", "TLS_VERIFY", "CERT_PATH"):
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    if not found.startswith("unix://"):
        pytest.skip("the relay starts from a Unix socket")
    return found


@pytest.fixture
def relay(address):
    """Return a function that starts relays to the container engine."""
    started = []

    def start(context=None) -> DaemonRelay:
        started.append(DaemonRelay(address, context))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def certificates(tmp_path) -> Path:
    """A directory with a server's context, and the files of its clients by docker's names."""
    authority = Authority(tmp_path)
    directory = tmp_path / "certificates"
    directory.mkdir()
    authority.certificate.rename(directory / "ca.pem")
    (tmp_path / "client.cert").rename(directory / "cert.pem")
    (tmp_path / "client.key").rename(directory / "key.pem")
    return directory


@pytest.fixture
def secure(certificates, relay, tmp_path) -> DaemonRelay:
    """A relay that lets in who has a certificate, as `dockerd --tlsverify` does."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(tmp_path / "server.cert", tmp_path / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    return relay(context)


def use(daemon: Daemon, image: str) -> None:
    """Look up an image, run a container of it, write into that and read what it says."""
    found = daemon.find(image) or daemon.pull(image)
    container = containers.start(
        daemon, found.id, ["sh", "-c", "until [ -e /x ]; do sleep 0.05; done; cat /x"]
    )
    try:
        data = b"sent" * 50_000 + b"\n"
        containers.send(container, ["sh", "-c", "read x; echo $x > /y; mv /y /x"], data)
        assert b"".join(data for _, data in container.logs()) == data
        assert container.wait() == 0
    finally:
        container.remove()


def test_over_tcp(relay, base_image, monkeypatch):
    """As DOCKER_HOST says; one connection serves a whole command, but for what streams."""
    plain = relay()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{plain.port}")
    daemon = Daemon()
    for _ in range(3):
        daemon.find(base_image)
    assert plain.connections == 1
    use(daemon, base_image)
    assert objects.image(daemon, base_image).tags


def test_over_tls_with_a_certificate_of_ones_own(secure, certificates, base_image, monkeypatch):
    """As DOCKER_TLS_VERIFY and DOCKER_CERT_PATH say; a stream over an exec comes through, too."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{secure.port}")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    daemon = Daemon()
    use(daemon, base_image)
    assert objects.image(daemon, base_image).tags  # docker-py goes the same way
    (certificates / "cert.pem").unlink()
    with pytest.raises(ContainerEngineUnavailableError, match="No container engine answers"):
        Daemon()
    (certificates / "cert.pem").write_text("no PEM")
    with pytest.raises(ContainerEngineUnavailableError, match=r"cert\.pem.*DOCKER_CERT_PATH"):
        Daemon()


def test_a_server_that_nobody_vouches_for(secure, certificates, monkeypatch):
    """It is refused, unless DOCKER_TLS alone asks for TLS without checking."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{secure.port}")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    (certificates / "ca.pem").unlink()
    monkeypatch.setenv("DOCKER_TLS", "1")
    Daemon()
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with pytest.raises(ContainerEngineUnavailableError, match=r"(?i)certificate verify failed"):
        Daemon()


def test_a_server_of_another_name(secure, certificates, monkeypatch):
    """A certificate for loopback's address is not one for another way to write it."""
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.1:{secure.port}")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    with pytest.raises(ContainerEngineUnavailableError, match=r"(?i)certificate verify failed"):
        Daemon()


def test_by_a_context_of_docker(secure, certificates, base_image, monkeypatch, tmp_path):
    """With the certificates that the context has."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    key = hashlib.sha256(b"far away").hexdigest()
    meta = tmp_path / "docker" / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    host = f"tcp://127.0.0.1:{secure.port}"
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": host}}}))
    tls = tmp_path / "docker" / "contexts" / "tls" / key
    tls.mkdir(parents=True)
    certificates.rename(tls / "docker")
    (tmp_path / "docker" / "config.json").write_text('{"currentContext": "far away"}')
    use(Daemon(), base_image)
    assert secure.connections


def test_by_ssh(address, base_image, monkeypatch, tmp_path):
    """The system's ssh runs docker's own relay on the other machine, and ends with the client."""
    log = write_ssh(tmp_path, address)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@far:2222/run/$x.sock")
    with pytest.raises(ContainerEngineUnavailableError, match="No container engine answers"):
        Daemon()
    words = log.read_text().rstrip("\n").split("\t")[1:]
    assert words == [
        "-T", "-o", "ConnectTimeout=30", "-l", "me", "-p", "2222", "--", "far",
        "docker --host 'unix:///run/$x.sock' system dial-stdio",
    ]  # fmt: skip
    log.unlink()
    monkeypatch.setenv("DOCKER_HOST", "ssh://far")
    daemon = Daemon()
    for _ in range(3):
        daemon.find(base_image)
    assert len(log.read_text().splitlines()) == 1
    use(daemon, base_image)
    if find_spec("paramiko") is None:
        with pytest.raises(ContainerEngineError, match=r"install docker\[ssh\]"):
            objects.image(daemon, base_image)
    started = [int(line.split("\t")[0]) for line in log.read_text().splitlines()]
    del daemon
    gc.collect()
    assert [process for process in started if Path(f"/proc/{process}").exists()] == []


def test_ssh_says_why_not(address, monkeypatch, tmp_path):
    """Its own words are in the error; where there is no ssh, the error says so."""
    write_ssh(tmp_path, address)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "ssh://no-such-host")
    with pytest.raises(ContainerEngineUnavailableError, match="Could not resolve hostname"):
        Daemon()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ContainerEngineUnavailableError, match=r"no program 'ssh'.*install OpenSSH"):
        Daemon()

"""`prefect.oci.registry.connections`."""

import pytest
import urllib3

from prefect.errors import RegistryError
from prefect.oci.registry import connections as registry_connections
from prefect.oci.registry.client import push
from prefect.oci.registry.connections import pool_of
from prefect.oci.registry.hosts import Origin
from prefect.oci.registry.transport import Transport

FAR = Origin.parse("https://r.example")


def test_a_proxy_is_taken_from_the_environment(monkeypatch):
    """HTTPS_PROXY is used, with its name and password as a header, except where NO_PROXY says so."""
    monkeypatch.setenv("HTTPS_PROXY", "http://me:p%40ss@proxy.example:3128")
    pool = pool_of(FAR)
    assert isinstance(pool, urllib3.ProxyManager)
    assert pool.proxy.url == "http://proxy.example:3128"
    assert pool.proxy_headers == {"proxy-authorization": "Basic bWU6cEBzcw=="}
    for excepted in ("r.example", ".example", "r.example:443", "*"):
        monkeypatch.setenv("NO_PROXY", excepted)
        assert not isinstance(pool_of(FAR), urllib3.ProxyManager)


def test_loopback_is_never_asked_through_a_proxy(monkeypatch):
    """Whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    for name in ("http://127.0.0.1:5000", "http://localhost", "https://[::1]:5000"):
        assert not isinstance(pool_of(Origin.parse(name)), urllib3.ProxyManager)
    assert isinstance(pool_of(Origin.parse("http://r.example")), urllib3.ProxyManager)


@pytest.mark.parametrize("address", ["socks5://me:secret@x", "http://me:secret@x:port"])
def test_a_proxy_that_cannot_be_used_is_not_quoted(address, monkeypatch):
    """The error names the variables: the address may hold a password."""
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(RegistryError, match="see HTTPS_PROXY") as caught:
        pool_of(FAR)
    assert "secret" not in str(caught.value)


@pytest.mark.services
def test_a_proxy_that_refuses_is_said(faulty, faults, monkeypatch, retries):
    """A tunnel that the proxy does not open is an error that points at the proxy."""
    faulty.rule("CONNECT", "", faults.answering(403))
    monkeypatch.setenv("HTTPS_PROXY", f"http://{faulty.host}")
    transport = Transport("r.example", "a", "pull", retries=retries)
    with pytest.raises(RegistryError, match="the proxy of HTTPS_PROXY"):
        transport.exchange("GET", transport.url("x"), "be asked", frozenset({200}))
    assert [seen.path for seen in faulty.seen] == ["r.example:443"] * 4


@pytest.mark.parametrize("name", ["r.example", "r.example:443"])
def test_certificates_are_found_where_docker_has_them(name, tmp_path, monkeypatch):
    """A directory of the system counts when the user has none; a bad file in it is named."""
    directory = tmp_path / "certs.d" / name
    directory.mkdir(parents=True)
    monkeypatch.setattr(registry_connections, "_SYSTEM_DIRECTORIES", (tmp_path / "certs.d",))
    (directory / "ca.crt").write_text("no certificate")
    with pytest.raises(RegistryError, match=str(directory)):
        pool_of(FAR)


@pytest.mark.services
def test_connections_are_used_again(open_registry, reference, image, caplog):
    """A push of many layers opens one connection for each thread and no more."""
    caplog.set_level("DEBUG", "urllib3.connectionpool")
    push(image(*(bytes([n]) for n in range(20))), reference(open_registry))
    opened = [text for text in caplog.messages if text.startswith("Starting new")]
    assert len(opened) <= registry_connections.PARALLEL


def test_an_impossible_address_is_refused():
    """A port that there cannot be is our own error."""
    with pytest.raises(RegistryError, match="no address of a registry"):
        Transport("r.example:99999", "a", "pull")


def test_registries_need_neither_an_engines_client_nor_cryptography(run_python):
    """The client costs what it uses."""
    code = "import sys, prefect.oci.registry.client; print(*sys.modules)"
    done = run_python("-c", code)
    assert "urllib3" in done.stdout.split()
    assert not {"docker", "requests", "cryptography", "click", "rich"} & set(done.stdout.split())

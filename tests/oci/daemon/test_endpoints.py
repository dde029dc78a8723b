"""`prefect.oci.daemon.endpoints`: which container engine is meant, as the command `docker` has it."""

import hashlib
import json
from pathlib import Path

import pytest

from prefect.errors import ContainerEngineUnavailableError
from prefect.oci.daemon.endpoints import DEFAULT, TLS, find_endpoint

VARIABLES = ("HOST", "CONTEXT", "TLS", "TLS_VERIFY", "CERT_PATH")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """Docker's directory, with nothing in it, and none of docker's variables."""
    for name in VARIABLES:
        monkeypatch.delenv(f"DOCKER_{name}", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def configure(home: Path, **settings) -> None:
    """Write docker's config.json."""
    (home / "config.json").write_text(json.dumps(settings))


def add_context(home: Path, name: str, host: str, *files: str, **endpoint) -> Path:
    """Write a context as `docker context create` does; return the directory of its certificates."""
    key = hashlib.sha256(name.encode()).hexdigest()
    meta = home / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False, **endpoint}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": endpoints}))
    certificates = home / "contexts" / "tls" / key / "docker"
    for file in files:
        certificates.mkdir(parents=True, exist_ok=True)
        (certificates / file).write_text("PEM")
    return certificates


def test_variables_outrank_files(home, monkeypatch):
    """DOCKER_HOST, then DOCKER_CONTEXT, then the context that was chosen, then the socket."""
    assert find_endpoint().url == DEFAULT
    assert "the default" in find_endpoint().source
    add_context(home, "chosen", "unix:///run/chosen.sock")
    add_context(home, "named", "unix:///run/named.sock")
    configure(home, currentContext="chosen")
    assert find_endpoint().url == "unix:///run/chosen.sock"
    assert (
        find_endpoint().source == "of the docker context 'chosen', which `docker context use` chose"
    )
    monkeypatch.setenv("DOCKER_CONTEXT", "named")
    assert find_endpoint().url == "unix:///run/named.sock"
    assert "which DOCKER_CONTEXT names" in find_endpoint().source
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert find_endpoint().url == DEFAULT
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/host.sock")
    assert find_endpoint().url == "unix:///run/host.sock"
    assert find_endpoint().source == "of DOCKER_HOST"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("unix:///a/b.sock", "unix:///a/b.sock"),
        ("tcp://engine", "http://engine:2375"),
        ("tcp://engine:99/below/", "http://engine:99/below"),
        ("tcp://[::1]:99", "http://[::1]:99"),
        ("engine:99", "http://engine:99"),
        ("https://engine", "https://engine:2376"),
        ("ssh://me@engine:22/run/d.sock", "ssh://me@engine:22/run/d.sock"),
    ],
)
def test_addresses(monkeypatch, given, url):
    """The forms that docker takes, with its ports."""
    monkeypatch.setenv("DOCKER_HOST", given)
    assert find_endpoint().url == url
    assert (find_endpoint().tls is None) == (not url.startswith("https"))


@pytest.mark.parametrize(
    "given",
    ["npipe:////./pipe/docker", "fd://", "/run/docker.sock", "unix://", "unix://run/d.sock",
     "tcp://", "tcp://engine:port", "tcp://engine:99999", "tcp://me:secret@engine", "tcp://a b",
     "ssh://me:secret@engine", "tcp://engine?x", "tcp://[", "tcp://a\x1b[2Jb", "unix:///a\nb"],
)  # fmt: skip
def test_what_is_no_address_is_refused(monkeypatch, given):
    """The error names DOCKER_HOST and good forms; it shows no password and no terminal's command."""
    monkeypatch.setenv("DOCKER_HOST", given)
    with pytest.raises(ContainerEngineUnavailableError, match=r"DOCKER_HOST.*unix:///") as caught:
        find_endpoint()
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_tls_as_the_variables_say(home, tmp_path, monkeypatch):
    """Asked for by DOCKER_TLS_VERIFY, or by DOCKER_TLS without checking; certificates in a directory."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path / "certificates"))
    assert find_endpoint().tls is None
    monkeypatch.setenv("DOCKER_TLS", "1")
    with pytest.raises(ContainerEngineUnavailableError, match="DOCKER_CERT_PATH"):
        find_endpoint()
    directory = tmp_path / "certificates"
    directory.mkdir()
    (directory / "ca.pem").write_text("PEM")
    assert find_endpoint().tls == TLS(directory / "ca.pem", None, None, verify=False)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    for name in ("cert.pem", "key.pem"):
        (directory / name).write_text("PEM")
    found = find_endpoint()
    files = [directory / name for name in ("ca.pem", "cert.pem", "key.pem")]
    assert found.url == "https://engine:2376"
    assert found.tls == TLS(*files, verify=True)
    monkeypatch.delenv("DOCKER_CERT_PATH")
    (home / "ca.pem").write_text("PEM")
    assert find_endpoint().tls.ca == home / "ca.pem"
    for other in ("unix:///run/d.sock", "ssh://engine"):
        monkeypatch.setenv("DOCKER_HOST", other)
        assert find_endpoint().tls is None


def test_tls_of_a_context(home, monkeypatch):
    """Its own certificates; variables for others do not count."""
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    certificates = add_context(home, "secure", "tcp://engine:1", "ca.pem", "cert.pem", "key.pem")
    add_context(home, "careless", "tcp://engine:2", SkipTLSVerify=True)
    add_context(home, "plain", "tcp://engine:3")
    monkeypatch.setenv("DOCKER_CONTEXT", "secure")
    assert find_endpoint().url == "https://engine:1"
    assert find_endpoint().tls == TLS.in_directory(certificates, verify=True)
    assert find_endpoint().tls.key == certificates / "key.pem"
    monkeypatch.setenv("DOCKER_CONTEXT", "careless")
    assert find_endpoint().tls == TLS(None, None, None, verify=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "plain")
    assert find_endpoint().url == "http://engine:3"
    assert find_endpoint().tls is None


def test_a_context_that_is_not_there(home, monkeypatch):
    """The error says who named it, and how to see which there are."""
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(ContainerEngineUnavailableError, match=r"'gone'.*DOCKER_CONTEXT.*ls"):
        find_endpoint()
    monkeypatch.delenv("DOCKER_CONTEXT")
    configure(home, currentContext="gone")
    with pytest.raises(ContainerEngineUnavailableError, match="`docker context use`"):
        find_endpoint()
    configure(home, currentContext=["gone"])
    with pytest.raises(ContainerEngineUnavailableError, match="no docker context"):
        find_endpoint()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": NaN}', "\xff"])
def test_malformed_files_are_named(home, monkeypatch, text):
    """Docker's config.json or a context's file: the error has its path."""
    add_context(home, "bad", "tcp://engine")
    (file,) = home.rglob("meta.json")
    file.write_text(text, encoding="latin-1")
    monkeypatch.setenv("DOCKER_CONTEXT", "bad")
    with pytest.raises(ContainerEngineUnavailableError, match=r"meta\.json"):
        find_endpoint()
    (home / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ContainerEngineUnavailableError, match=r"config\.json"):
        find_endpoint()


@pytest.mark.parametrize("endpoints", [[], {"docker": [1]}, {"docker": {"Host": 1}}])
def test_contexts_of_another_shape_are_named(home, monkeypatch, endpoints):
    """A context's file that is JSON, and not a context's."""
    add_context(home, "bad", "tcp://engine")
    (file,) = home.rglob("meta.json")
    file.write_text(json.dumps({"Endpoints": endpoints or [1]}))
    monkeypatch.setenv("DOCKER_CONTEXT", "bad")
    with pytest.raises(ContainerEngineUnavailableError, match=r"meta\.json"):
        find_endpoint()


def test_proxies_and_headers_of_the_configuration(home, monkeypatch):
    """Those of the engine's own address, else the default ones; both spellings of each variable."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine")
    proxies = {
        "default": {"httpProxy": "http://a", "noProxy": "b", "ftpProxy": "", "odd": "x"},
        "tcp://other": {"httpsProxy": "http://c"},
    }
    configure(home, proxies=proxies, HttpHeaders={"X-A": "1"})
    found = find_endpoint()
    assert found.proxies == {
        "HTTP_PROXY": "http://a", "http_proxy": "http://a", "NO_PROXY": "b", "no_proxy": "b",
    }  # fmt: skip
    assert found.headers == {"X-A": "1"}
    assert "http://a" not in repr(found)  # they may hold a password
    monkeypatch.setenv("DOCKER_HOST", "tcp://other")
    assert set(find_endpoint().proxies) == {"HTTPS_PROXY", "https_proxy"}
    for headers in ({"X-B": "1\r\nX-C: 2"}, {"X-D": 3}, {"X E": "1"}, ["X-F"]):
        configure(home, HttpHeaders=headers)
        with pytest.raises(ContainerEngineUnavailableError, match=r"config\.json"):
            find_endpoint()
    for bad in ([1], {"default": [1]}, {"default": {"httpProxy": 1}}):
        configure(home, proxies=bad)
        with pytest.raises(ContainerEngineUnavailableError, match=r"config\.json"):
            find_endpoint()
    configure(home, proxies=None, HttpHeaders=None)
    assert find_endpoint().proxies == find_endpoint().headers == {}

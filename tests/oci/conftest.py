"""Registries for the tests: real ones, and one in front of them that misbehaves."""

import base64
import hashlib
import json
import os
from pathlib import Path
from types import ModuleType

import bcrypt
import faulty_registry as faults_module
import pytest
import real_registry as real

from prefect.oci import images
from prefect.oci.images import Blob, Image, Layer
from prefect.oci.references import Reference
from prefect.oci.registry import connections as registry_connections
from prefect.oci.registry.retries import Retries

USER, PASSWORD = "somebody", "pass:word of the test"


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """A home without credentials, and an environment that names none."""
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
                 "PREFECT_INSECURE_REGISTRIES"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    directory = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setattr(registry_connections, "_SYSTEM_DIRECTORIES", ())
    return directory


@pytest.fixture
def log_in(home):
    """Return a function that writes what `docker login` writes."""

    def write(host: str, user: str = USER, password: str = PASSWORD, **fields) -> Path:
        entry = fields or {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
        path = home / ".docker" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"auths": {host: entry}}))
        return path

    return write


def _serve(tmp_path_factory, name, **sections):
    server = real.RealRegistry(tmp_path_factory.mktemp(name), **sections)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def open_registry(tmp_path_factory):
    """A registry that anybody may use."""
    yield from _serve(tmp_path_factory, "open")


@pytest.fixture(scope="session")
def password_registry(tmp_path_factory):
    """A registry that wants Basic authentication."""
    passwords = tmp_path_factory.mktemp("passwords") / "htpasswd"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    passwords.write_text(f"{USER}:{hashed}\n")
    htpasswd = {"htpasswd": {"realm": "tests", "path": str(passwords)}}
    yield from _serve(tmp_path_factory, "password", auth=htpasswd)


@pytest.fixture(scope="session")
def _token_server(tmp_path_factory):
    server = real.TokenServer(tmp_path_factory.mktemp("tokens"))
    yield server
    server.stop()


@pytest.fixture
def token_server(_token_server):
    """A token server that knows nobody yet but the test's user."""
    _token_server.users = {USER: PASSWORD}
    _token_server.identity_tokens = set()
    _token_server.refused = set()
    _token_server.requests.clear()
    _token_server.seconds = 300
    return _token_server


@pytest.fixture(scope="session")
def _token_registry(tmp_path_factory, _token_server):
    yield from _serve(tmp_path_factory, "token", auth=_token_server.config())


@pytest.fixture
def token_registry(_token_registry, token_server):
    """A registry that wants tokens of the token server."""
    return _token_registry


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority that nobody trusts."""
    return real.Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory, authority):
    """A registry with a certificate of the private authority."""
    tls = {
        "certificate": str(authority.directory / "server.cert"),
        "key": str(authority.directory / "server.key"),
    }
    yield from _serve(tmp_path_factory, "tls", http={"tls": tls})


@pytest.fixture(scope="session")
def mutual_tls_registry(tmp_path_factory, authority):
    """A registry that wants a certificate of its clients too."""
    tls = {
        "certificate": str(authority.directory / "server.cert"),
        "key": str(authority.directory / "server.key"),
        "clientcas": [str(authority.certificate)],
    }
    yield from _serve(tmp_path_factory, "mutual", http={"tls": tls})


@pytest.fixture
def faulty(open_registry):
    """A registry in front of the open one that does what rules tell it to do wrong."""
    server = faults_module.FaultyRegistry(open_registry.host)
    yield server
    server.stop()


@pytest.fixture
def faulty_with_password(password_registry):
    """The same in front of the registry that wants a password."""
    server = faults_module.FaultyRegistry(password_registry.host)
    yield server
    server.stop()


@pytest.fixture
def another_host():
    """A server that is no registry, on another port: another origin."""
    server = faults_module.FaultyRegistry("127.0.0.1:9")
    yield server
    server.stop()


@pytest.fixture
def faults() -> ModuleType:
    """What a registry can do wrong."""
    return faults_module


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that were to be waited between attempts, and were not."""
    return []


@pytest.fixture
def retries(pauses) -> Retries:
    """Retries that note their pauses instead of waiting."""
    return Retries(attempts=4, sleep=pauses.append)


@pytest.fixture
def reference(unique):
    """Return a function that names a new repository at a registry."""

    def make(server, tag: str = "1", suffix: str = "") -> Reference:
        return Reference.parse(f"{server.host}/{unique}{suffix}:{tag}")

    return make


def make_image(
    *layers: bytes,
    media_type: str = images.OCI_MANIFEST,
    os: str = "linux",
    architecture: str = "amd64",
) -> Image:
    """Make an image whose layers are these bytes, which registries do not look into."""
    kind = images.DOCKER_LAYER if media_type == images.DOCKER_MANIFEST else images.OCI_LAYER
    made = [
        Layer(
            f"sha256:{hashlib.sha256(data + b'unpacked').hexdigest()}", images.blob_of(data, kind)
        )
        for data in layers
    ]
    config = images.canonical_json(
        {
            "os": os,
            "architecture": architecture,
            "config": {"Env": ["A=1"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in made]},
        }
    )
    bare = Image(config, tuple(made), media_type)
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": bare.config_blob().descriptor(),
        "layers": [layer.blob.descriptor() for layer in made],
    }
    # With blanks, which a client that writes JSON anew would lose.
    return Image(config, tuple(made), media_type, json.dumps(manifest, indent=3).encode())


@pytest.fixture
def image():
    """Return a function that makes images."""
    return make_image


@pytest.fixture
def layer() -> bytes:
    """Three MiB that nothing else has: several chunks."""
    return os.urandom(3 << 20)


@pytest.fixture
def spoiled():
    """Return a function that exchanges the bytes behind a blob, not its digest and size."""

    def spoil(image: Image, opener) -> Image:
        blob = image.layers[-1].blob
        wrong = Blob(blob.media_type, blob.digest, blob.size, opener)
        layers = (*image.layers[:-1], Layer(image.layers[-1].diff_id, wrong))
        return Image(image.config, layers, image.media_type, image.manifest)

    return spoil

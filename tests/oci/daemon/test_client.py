"""`prefect.oci.daemon.client`, on real container engines: Docker's, and podman."""

import base64
import json
import os

import pytest
from scripted_daemon import ScriptedDaemon, chunked_answer, json_answer

from prefect.errors import (
    ContainerEngineError,
    ContainerEngineUnavailableError,
    ImageBuildError,
    ImageError,
)
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.image import described
from prefect.oci.platforms import Platform
from prefect.oci.references import Reference

NOBODY = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module", params=["services", "podman"])
def address(request, base_image):
    """Where the container engine is."""
    if request.param == "podman":
        return request.getfixturevalue("podman")
    return os.environ["DOCKER_HOST"]


@pytest.fixture
def daemon(address, monkeypatch) -> Daemon:
    """A client of it."""
    monkeypatch.setenv("DOCKER_HOST", address)
    return Daemon()


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """An engine that answers as a test has it, for what a real one does not do at will."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "config.json"))
    (tmp_path / "config.json").write_text("{}")
    server = ScriptedDaemon(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", server.address)
    yield server
    server.stop()


@pytest.mark.services
def test_an_image_is_pulled_found_named_and_removed(daemon, base_image, unique):
    """What is told of it is what its registry has."""
    pulled = daemon.pull(base_image)
    assert daemon.find(base_image) == daemon.find(pulled.id) == pulled
    assert base_image in pulled.tags
    name = Reference.parse(base_image).name
    assert [digest for digest in pulled.repo_digests if digest.startswith(f"{name}@sha256:")]
    image = described(pulled)
    assert image.platform == Platform.of_host()
    assert image.layers
    assert any(line.startswith("PATH=") for line in image.settings["Env"])
    daemon.tag(pulled.id, f"{unique}:1")
    assert daemon.find(f"{unique}:1").id == pulled.id
    daemon.remove(f"{unique}:1")
    daemon.remove(f"{unique}:1")


@pytest.mark.services
def test_what_is_not_there(daemon, unique, tmp_path):
    """Nothing is found; what needs it is an error of the image, not of the engine."""
    assert daemon.find(unique) is None
    assert daemon.find(NOBODY) is None
    assert not daemon.can_start(NOBODY)
    with pytest.raises(ImageError, match="no image"):
        daemon.tag(NOBODY, unique)
    with pytest.raises(ImageError, match="no image"):
        daemon.create(unique, {})
    with pytest.raises((ImageError, ContainerEngineError), match=unique):
        daemon.save(unique, tmp_path / "image.tar")
    with pytest.raises(ImageError, match=r"cannot be pulled.*docker login"):
        daemon.pull(f"127.0.0.1:1/{unique}")
    with pytest.raises(ContainerEngineError, match="look up the image UPPER"):
        daemon.find("UPPER")
    daemon.remove(NOBODY)
    daemon.remove_container("f" * 64)


@pytest.mark.services
def test_steps_are_run_and_their_output_told(daemon, base_image):
    """Of a step that fails, the end of its own output is in the error."""
    base = daemon.pull(base_image).id
    lines = []
    good = f"FROM {base}\nRUN echo of-the-step\n".encode()
    built = daemon.build({"Dockerfile": good}, network="host", progress=lines.append)
    try:
        assert "of-the-step" in lines
        assert daemon.can_start(built.id)
    finally:
        daemon.remove(built.id)
    bad = f"FROM {base}\nRUN echo one\nRUN printf 'two\\033[2J'; false\n".encode()
    with pytest.raises(ImageBuildError, match=r"(?i)failed at step 3.*false") as caught:
        daemon.build({"Dockerfile": bad}, network="host")
    assert r"two\x1b[2J" in str(caught.value)
    assert all(map(str.isprintable, str(caught.value).splitlines()))


def test_credentials_for_a_pull_go_to_the_engine(scripted, tmp_path):
    """Those that `docker login` or `podman login` stored for that registry, and no others."""
    secret = base64.b64encode(b"me:password").decode()
    auths = {"far.test": {"auth": secret}, "token.test": {"identitytoken": "t"}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    daemon = Daemon()
    for name, login in (
        ("far.test/a:1", {"username": "me", "password": "password"}),
        ("token.test/a:1", {"identitytoken": "t"}),
        ("other.test/a:1", None),
    ):
        scripted.heads.clear()
        scripted.answers = [chunked_answer(b'{"error": "no such thing \\u001b"}')]
        with pytest.raises(ImageError, match="cannot be pulled") as caught:
            daemon.pull(name, platform=Platform.parse("linux/arm64"))
        assert str(caught.value).isprintable()
        assert "password" not in str(caught.value)
        head = scripted.heads[0].decode()
        assert "platform=linux%2Farm64" in head
        assert ("X-Registry-Auth" in head) == (login is not None)
        if login:
            value = head.split("X-Registry-Auth: ")[1].split("\r\n")[0]
            sent = json.loads(base64.urlsafe_b64decode(value))
            assert sent == {**login, "serveraddress": name.partition("/")[0]}


def test_a_limit_that_would_be_left_out_is_refused(scripted):
    """The container that was made is removed; a warning of something else is none of ours."""
    created = "201 Created"
    made = {
        "Id": "abc",
        "Warnings": ["No swap limit support", "No memory limit. Limitation discarded."],
    }
    scripted.answers = [
        json_answer(b"[]"), json_answer(json.dumps(made).encode(), created), json_answer(b""),
    ]  # fmt: skip
    with pytest.raises(ContainerEngineError, match="cannot limit a container so: No memory limit"):
        Daemon().create("image", {})
    assert scripted.requests[-1].startswith("DELETE /v1.41/containers/abc")
    made["Warnings"].pop()
    scripted.answers = [json_answer(b"[]"), json_answer(json.dumps(made).encode(), created)]
    assert Daemon().create("image", {}) == "abc"


@pytest.mark.parametrize(
    ("told", "rootless"),
    [({}, False), ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, True),
     ({"SecurityOptions": ["name=seccomp,profile=default"]}, False)],
)  # fmt: skip
def test_whether_it_is_rootless_is_asked(scripted, told, rootless):
    """Its options of security tell."""
    scripted.answers = [json_answer(json.dumps(told).encode())]
    assert Daemon().rootless is rootless


def test_a_pull_that_breaks_is_the_engines_affair(scripted):
    """Nobody knows then whether the registry has the image."""
    broken = chunked_answer(b'{"status": "Pulling"}\n')[:-7]
    scripted.answers, scripted.ends = [broken], {broken}
    with pytest.raises(ContainerEngineUnavailableError, match="broke while it should pull a"):
        Daemon().pull("a")
    scripted.answers = [chunked_answer(b""), json_answer(b"{}", "404 Not Found")]
    with pytest.raises(ImageError, match="does not have it afterwards"):
        Daemon().pull("a")


def test_proxies_of_dockers_configuration_reach_steps(scripted, tmp_path):
    """As arguments of the build, so that they are in no layer and no config."""
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://p"}}}')
    scripted.answers = [chunked_answer(b'{"error": "no"}')]
    with pytest.raises(ImageBuildError, match="its start: no"):
        Daemon().build({"Dockerfile": b""})
    assert "buildargs=%7B%22HTTP_PROXY%22" in scripted.requests[0]

"""`prefect.oci.daemon.transport`: what an engine may answer, and what becomes of connections."""

import gc
import json
import os
import time
from pathlib import Path

import pytest
from scripted_daemon import PING, ScriptedDaemon, chunked_answer, json_answer

from prefect.errors import ContainerEngineError, ContainerEngineUnavailableError, ImageError
from prefect.oci.daemon import containers, transport
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.containers import Container
from prefect.oci.daemon.image import described
from prefect.oci.daemon.settings import Settings

ID = "a" * 64
NOT_THERE = json_answer(b'{"message": "no such image"}', "404 Not Found")


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """What answers on the socket that DOCKER_HOST names."""
    server = ScriptedDaemon(tmp_path / "engine.sock")
    monkeypatch.setenv("DOCKER_HOST", server.address)
    yield server
    server.stop()


@pytest.fixture
def daemon(engine) -> Daemon:
    """A client that has connected."""
    return Daemon()


# ---- who answers --------------------------------------------------------------------------------


def test_nobody_answers(monkeypatch, tmp_path):
    """The error says where nobody is, who named the place, and what to do."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ContainerEngineUnavailableError) as caught:
        Daemon()
    assert caught.match(
        rf"{tmp_path}/none\.sock \(of DOCKER_HOST\): No such file.*point DOCKER_HOST"
    )
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/{'x' * 200}")
    with pytest.raises(ContainerEngineUnavailableError, match="too long"):
        Daemon()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(ContainerEngineUnavailableError, match="refused"):
        Daemon()


@pytest.mark.parametrize(
    "ping",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
        PING.replace(b"1.41", b"1.41; x"),
        json_answer(b'{"message": "go\x1b[2J away"}', "403 Forbidden"),
        json_answer(b"", "500 Internal Server Error"),
        PING.replace(b"Content-Length: 2", b"Content-Length: 9"),
        PING.replace(b"Api-Version", b"X-Long: " + b"x" * 70000 + b"\r\nApi-Version"),
        b"",
    ],
    ids=["ssh", "web", "version", "refused", "fault", "short", "long", "nothing"],
)
def test_what_is_no_container_engine(engine, ping):
    """Whatever listens there: the error says that it is none, in words that command no terminal."""
    engine.ping = ping
    engine.ends = {ping}
    with pytest.raises(
        ContainerEngineUnavailableError, match="No container engine answers"
    ) as caught:
        Daemon()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("theirs", "used"), [("1.24", "1.24"), ("1.41", "1.41"), ("2.0", "1.51")])
def test_the_version_that_both_know(engine, theirs, used):
    """An older engine is spoken to in its own version, a newer one in the newest that was tried."""
    engine.ping = PING.replace(b"1.41", theirs.encode())
    engine.answers = [NOT_THERE]
    Daemon().find("a")
    assert engine.requests == [f"GET /v{used}/images/a/json"]


def test_headers_of_dockers_configuration_are_sent(engine, tmp_path, monkeypatch):
    """Such as one that a proxy before the engine wants."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"HttpHeaders": {"X-Meta": "of the test"}}')
    engine.answers = [NOT_THERE]
    Daemon().find("a")
    assert b"X-Meta: of the test\r\n" in engine.heads[0]


# ---- what it answers ----------------------------------------------------------------------------


def inspected(**changes) -> bytes:
    """Return what an engine tells of an image."""
    told = {
        "Id": f"sha256:{ID}", "Architecture": "amd64", "Os": "linux", "Config": {"Labels": None},
        "RootFS": {"Layers": None}, "RepoTags": None, "RepoDigests": None, "GraphDriver": None,
    }  # fmt: skip
    return json_answer(json.dumps(told | changes).encode())


NONSENSE = {
    "no JSON": json_answer(b"<html>"),
    "no object": json_answer(b"[]"),
    "deep": json_answer(b'{"a":' * 90 + b"1" + b"}" * 90),
    "very deep": json_answer(b"[" * 100_000),
    "twice": json_answer(b'{"Id": "a", "Id": "b"}'),
    "not text": json_answer(b'"\xff"'),
    "id": inspected(Id=1),
    "no id": inspected(Id=None),
    "layers": inspected(RootFS={"Layers": ["../../etc"]}),
    "no root": inspected(RootFS=[1]),
    "labels": inspected(Config={"Labels": [1]}),
    "config": inspected(Config=[1]),
    "platform": inspected(Os=None),
    "driver": inspected(GraphDriver=[1]),
    "tags": inspected(RepoTags=[1]),
    "no HTTP": b"gopher\r\n\r\n",
    "status": b"HTTP/1.1 9999 OK\r\n\r\n",
    "headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    "short": json_answer(b"{}").replace(b"Length: 2", b"Length: 3"),
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}",
    "nothing": b"",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_an_error_of_ours(engine, daemon, name):
    """An answer that is not what an engine says: named as such, in one line, whatever it is."""
    answer = NONSENSE[name]
    engine.answers, engine.ends = [answer], {answer}
    with pytest.raises(ContainerEngineUnavailableError, match="look up the image demo") as caught:
        daemon.find("demo")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    engine.answers = [NOT_THERE]  # and the next request has a connection that is sound
    assert daemon.find("demo") is None


@pytest.mark.parametrize(
    "told",
    [
        {"memory_stats": {"stats": [1]}, "cpu_stats": {"cpu_usage": {}}},
        {"memory_stats": {"usage": "much"}, "cpu_stats": {"cpu_usage": {}}},
        {"memory_stats": {}, "cpu_stats": {"cpu_usage": {"total_usage": None}}},
    ],
)
def test_nonsense_of_what_a_container_takes_is_an_error_of_ours(engine, daemon, told):
    """Who shows it while a run goes on does without, and does not end."""
    engine.answers = [json_answer(json.dumps(told).encode())]
    with pytest.raises(ContainerEngineError, match="measure"):
        Container(daemon, ID, tty=False).usage()


def test_an_image_with_nothing_in_it(engine, daemon):
    """Docker says null where there is nothing."""
    engine.answers = [inspected()]
    found = daemon.find("demo")
    assert (found.id, found.labels, found.tags) == (f"sha256:{ID}", {}, ())


def test_an_image_that_is_there_in_part(engine, daemon):
    """Containerd's store knows no platform of one: it can be found and removed, and not be used."""
    engine.answers = [inspected(Architecture="", Os="")]
    found = daemon.find("demo")
    assert found.id == f"sha256:{ID}"
    with pytest.raises(ImageError, match="in part: remove it"):
        described(found)


def test_answers_are_bounded(engine, daemon, monkeypatch):
    """A document, an error or a line of a stream that does not end is not read to its end."""
    monkeypatch.setattr(transport, "_DOCUMENT_BYTES", 100_000)
    monkeypatch.setattr(transport, "_ENTRY_BYTES", 100_000)
    big = b'{"a": "' + b"x" * 300_000 + b'"}'
    engine.answers = [chunked_answer(big), chunked_answer(big), json_answer(big, "500 No")]
    with pytest.raises(ContainerEngineUnavailableError, match="more than 100000 bytes"):
        daemon.find("demo")
    with pytest.raises(ContainerEngineUnavailableError, match="a line of more than 100000 bytes"):
        daemon.load([b"x"])
    with pytest.raises(ContainerEngineUnavailableError, match="more than 65536 bytes"):
        daemon.find("demo")


def test_what_an_engine_says_commands_no_terminal(engine, daemon):
    """Its words are one line, of bounded length, in which nothing is a terminal's command."""
    said = json.dumps({"message": "bad \x1b]0;title\x07" + "x" * 5000 + "\nnext"}).encode()
    engine.answers = [json_answer(said, "500 Internal Server Error"), json_answer(b"", "418 Tea")]
    with pytest.raises(
        ContainerEngineError, match=r"cannot look up the image demo: bad \\x1b"
    ) as caught:
        daemon.find("demo")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    with pytest.raises(ContainerEngineError, match="HTTP status 418"):
        daemon.find("demo")


def frame(kind: int, data: bytes) -> bytes:
    """Return a frame of a container's output."""
    return bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def test_output_comes_in_frames(engine, daemon):
    """However they are cut on their way; with a terminal there are none."""
    whole = frame(1, b"out\n") + frame(2, b"") + frame(2, b"error\n") + frame(1, b"x" * 100_000)
    bytewise = chunked_answer(*(whole[i : i + 1] for i in range(40)), whole[40:])
    engine.answers = [chunked_answer(whole), bytewise, chunked_answer(b"raw"), json_answer(whole)]
    container = Container(daemon, ID, tty=False)
    for _ in range(2):
        logs = list(container.logs())
        assert b"".join(data for number, data in logs if number == 1) == b"out\n" + b"x" * 100_000
        assert b"".join(data for number, data in logs if number == 2) == b"error\n"
    assert list(Container(daemon, ID, tty=True).logs()) == [(1, b"raw")]
    assert container.last_lines().endswith("x" * 60_000)
    assert engine.connections == 1


@pytest.mark.parametrize(
    "stream",
    [frame(4, b"x"), b"\x01\x01\x00\x00\x00\x00\x00\x01x", frame(1, b"x")[:-1], frame(1, b"x")[:5],
     frame(3, b"the disk \x1b[2J broke"), b"plain text, and no frame at all"],
    ids=["kind", "zeros", "half", "head", "fault", "none"],
)  # fmt: skip
def test_malformed_frames_are_refused(engine, daemon, stream):
    """The error says so; what is wanted for a message alone is then left out of it."""
    container = Container(daemon, ID, tty=False)
    engine.answers = [chunked_answer(stream), chunked_answer(stream)]
    with pytest.raises(ContainerEngineUnavailableError, match="follow the logs") as caught:
        list(container.logs())
    assert str(caught.value).isprintable()
    assert container.last_lines() in {"", "x"}


def test_a_started_container_is_not_left_behind(engine, daemon):
    """Where it cannot be started, it is removed again."""
    refused = json_answer(b'{"message": "no runtime"}', "500 Internal Server Error")
    gone = b"HTTP/1.1 204 No Content\r\n\r\n"
    made = json_answer(json.dumps({"Id": ID}).encode(), "201 Created")
    engine.answers = [json_answer(b"[]"), made, refused, gone]
    with pytest.raises(ContainerEngineError, match="cannot start demo: no runtime"):
        containers.start(daemon, "demo", ["x"], Settings(network="host", tmpfs={"/a": "size=1"}))
    assert engine.requests[-1] == f"DELETE /v1.41/containers/{ID}?force=1&v=1"
    assert json.loads(engine.bodies[1])["HostConfig"] == {
        "NetworkMode": "host", "Tmpfs": {"/a": "size=1"},
    }  # fmt: skip


# ---- bodies -------------------------------------------------------------------------------------


def test_an_archive_is_sent_as_it_is_made(engine, daemon):
    """In chunks of its own; empty ones do not end it."""
    engine.answers = [chunked_answer(b'{"stream": "Loaded"}\n')]
    said = []
    daemon.load(iter([b"one", b"", b"two" * 100_000]), said.append)
    assert engine.bodies == [b"one" + b"two" * 100_000]
    assert said == ["Loaded"]


# ---- connections --------------------------------------------------------------------------------


def test_connections_are_used_again(engine, daemon):
    """One does for a whole command; one that ended meanwhile is replaced without a word."""
    engine.answers = [NOT_THERE] * 6
    for _ in range(5):
        assert daemon.find("a") is None
    assert engine.connections == 1
    engine.hang_up()
    assert daemon.find("a") is None
    assert engine.connections == 2


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_connections_are_closed_with_the_last_who_uses_them(engine):
    """Also those of answers that were not read to their end."""
    before = open_files()
    daemon = Daemon()
    engine.answers = [NOT_THERE, chunked_answer(frame(1, b"x") * 100_000), inspected()]
    daemon.find("a")
    logs = Container(daemon, ID, tty=False).logs()
    next(logs)
    daemon.find("a")
    logs.close()
    del daemon, logs
    gc.collect()
    engine.hang_up()
    deadline = time.monotonic() + 30
    while open_files() > before and time.monotonic() < deadline:
        time.sleep(0.01)  # the other side, which is in this process, closes its own in threads
    assert open_files() <= before


def test_a_forked_child_has_connections_of_its_own(engine, daemon):
    """It never speaks on its parent's, whose answers would get mixed up."""
    engine.answers = [NOT_THERE, NOT_THERE]
    child = os.fork()
    if not child:
        os._exit(0 if daemon.find("a") is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert engine.connections == 2
    assert daemon.find("a") is None
    assert engine.connections == 2

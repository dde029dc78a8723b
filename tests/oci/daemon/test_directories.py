"""`prefect.oci.daemon.directories`: what a container made, copied from wherever its engine is."""

import io
import os
import tarfile
from pathlib import Path

import pytest
from scripted_daemon import ScriptedDaemon, chunked_answer

from prefect.errors import ContainerEngineError
from prefect.oci.daemon import containers
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.directories import copy_directory
from prefect.oci.daemon.settings import Settings

MADE = "/opt/made by us"


@pytest.fixture(params=["services", "podman"])
def client(request, base_image, monkeypatch):
    """A client of a container engine that has the base."""
    if request.param == "podman":
        monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("podman"))
    client = Daemon()
    client.find(base_image) or client.pull(base_image)
    return client


@pytest.mark.services
def test_what_any_user_made_in_a_directory_comes_out(client, base_image, tmp_path):
    """Files, directories, links and hard links; what was here is replaced, and devices stay behind."""
    script = """
        cd "$0"; mkdir -p deep/er empty; printf one > deep/er/file; chmod 750 deep/er/file
        ln deep/er/file hard; ln -s deep/er/file soft; ln -s /etc/passwd out; mkfifo pipe; printf new > old
    """
    (tmp_path / "old").write_text("old and longer")
    (tmp_path / "kept").touch()
    settings = Settings(user="4321", directories=(MADE,))
    container = containers.start(client, base_image, ["sh", "-c", script, MADE], settings)
    try:
        assert container.wait() == 0
        behind = container.copy_directory(MADE, tmp_path)
        with pytest.raises(ContainerEngineError, match="copy /no/such"):
            container.copy_directory("/no/such", tmp_path)
    finally:
        container.remove()
    assert behind == ["made by us/pipe"]
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")) == [
        "deep", "deep/er", "deep/er/file", "empty", "hard", "kept", "old", "out", "soft",
    ]  # fmt: skip
    assert (tmp_path / "soft").read_text() == (tmp_path / "hard").read_text() == "one"
    assert (tmp_path / "deep/er/file").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "deep/er/file").stat().st_uid == os.geteuid()
    assert (tmp_path / "out").readlink() == Path("/etc/passwd")
    assert (tmp_path / "old").read_text() == "new"


def archive(*members: tuple[str, bytes, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE}:
                info.linkname = content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
    return buffer.getvalue()


def test_nothing_is_written_elsewhere(tmp_path, monkeypatch):
    """Neither by the names of members, nor through links of theirs or of the directory itself."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    (target / "link").symlink_to(elsewhere)
    (target / "file").symlink_to(elsewhere / "mine")
    evil = archive(
        ("made", tarfile.DIRTYPE, ""),
        ("made/../../elsewhere/a", tarfile.REGTYPE, "x"),
        ("made/link/b", tarfile.REGTYPE, "x"),
        ("made/file", tarfile.REGTYPE, "theirs"),
        ("made/new", tarfile.SYMTYPE, str(elsewhere)),
        ("made/new/c", tarfile.REGTYPE, "x"),
        ("made/hard", tarfile.LNKTYPE, "made/../../elsewhere/mine"),
        ("made/through", tarfile.LNKTYPE, "made/link/mine"),
        ("/absolute", tarfile.REGTYPE, "x"),
    )
    server = ScriptedDaemon(tmp_path / "engine.sock")
    try:
        monkeypatch.setenv("DOCKER_HOST", server.address)
        server.answers = [chunked_answer(evil)]
        behind = copy_directory(Daemon(), "abc", "/made", target)
    finally:
        server.stop()
    assert behind == [
        "made/../../elsewhere/a", "made/link/b", "made/new/c", "made/hard", "made/through",
    ]  # fmt: skip
    assert (target / "file").read_text() == "theirs"
    assert [each.name for each in elsewhere.iterdir()] == ["mine"]
    assert (elsewhere / "mine").read_text() == "mine"
    assert not Path("/absolute").exists()

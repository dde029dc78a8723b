"""`prefect.files`."""

import os
import stat
import subprocess
import sys

import pytest

from prefect.errors import InputTooLargeError
from prefect.files import create, read_small, read_small_text, replacing, replacing_directory


def test_a_small_file_is_read_up_to_its_limit(tmp_path):
    """All of it, or an error that says the limit; whatever has no end is left after that."""
    path = tmp_path / "file"
    path.write_bytes("ä\r\nb".encode())
    assert read_small(path, 5) == path.read_bytes()
    assert read_small_text(path) == "ä\nb"
    with pytest.raises(InputTooLargeError, match="file has more than the 0 KiB"):
        read_small(path, 4)
    with pytest.raises(OSError, match="/dev/zero has more than the 16 MiB"):
        read_small_text("/dev/zero")
    endless = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    with pytest.raises(InputTooLargeError, match="more than the 64 KiB"):
        read_small(f"/dev/fd/{endless.stdout.fileno()}", 64 * 1024)
    endless.stdout.close()
    endless.wait()


@pytest.mark.parametrize("path", ["", "."])
def test_a_directory_is_refused_before_there_is_anything_to_write(tmp_path, monkeypatch, path):
    """By the name that it was given, and not by a hidden one."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError) as caught, replacing(path):
        pytest.fail("there is nothing to write to")
    assert caught.value.filename == path
    assert not list(tmp_path.iterdir())


def test_a_file_takes_its_name_when_it_is_complete(tmp_path):
    """Until the end the former content is there; afterwards the new, and nothing beside it."""
    path = tmp_path / "new" / "file"
    with replacing(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with replacing(path) as file:
        file.write(b"two")
        assert path.read_bytes() == b"one"
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_an_error_leaves_the_former_file(tmp_path):
    """What failed half-way is gone, and what was there is not."""
    path = tmp_path / "file"
    path.write_bytes(b"precious")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_symbolic_link_stays_one(tmp_path):
    """The file that the link means is replaced."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


KILLED = """
import os, sys
from pathlib import Path
from prefect import files
if sys.argv[1] == "named":
    del os.O_TMPFILE  # as on a file system that has no files without names
if sys.argv[2] == "directory":
    with files.replacing_directory(Path("target")) as directory:
        (directory / "half").write_text("half")
        os.kill(os.getpid(), 9)
with files.replacing("target") as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("how", "what"), [("unnamed", "file"), ("named", "file"),
                                           ("named", "directory")])  # fmt: skip
def test_what_a_killed_maker_left_is_gone_with_the_next(tmp_path, how, what):
    """Most leave nothing; else the next one who writes there removes it, and nothing of others."""
    others = [tmp_path / ".target.0123456789abcdef", tmp_path / "x.prefect-part"]
    for path in others:
        path.write_text("somebody else's")
    subprocess.run([sys.executable, "-c", KILLED, how, what], cwd=tmp_path, check=False)
    left = set(tmp_path.iterdir()) - set(others)
    assert len(left) == (0 if how == "unnamed" else 1)
    create(tmp_path / "another", b"whole")
    assert set(tmp_path.iterdir()) == {*others, tmp_path / "another"}


def test_what_is_still_written_is_left_alone(tmp_path, monkeypatch):
    """Two at once, with hidden names, do not take each other's for abandoned."""
    monkeypatch.delattr(os, "O_TMPFILE")
    with replacing_directory(tmp_path / "a") as a, replacing(tmp_path / "b") as b:
        (a / "half").write_text("half")
        b.write(b"half")
        create(tmp_path / "c", b"")
        assert len(list(tmp_path.iterdir())) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
    assert (tmp_path / "b").read_bytes() == b"half"


def test_nothing_is_created_over_another(tmp_path):
    """The former file stays, and nothing beside it."""
    create(tmp_path / "key", b"first")
    with pytest.raises(FileExistsError):
        create(tmp_path / "key", b"second")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("key", b"first")]

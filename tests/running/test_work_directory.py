"""`prefect.running.work_directory`: somewhere to write in images whose user owns nothing."""

import os
from pathlib import Path

import pytest

from prefect.running.work_directory import somewhere_to_write


@pytest.fixture
def unwritable(monkeypatch):
    """A set of directories that cannot be written, also for root."""
    found = set()
    real = os.access

    def access(path, mode):
        return real(path, mode) and not (mode & os.W_OK and str(path) in found)

    monkeypatch.setattr(os, "access", access)
    return found


def test_what_can_be_written_stays(tmp_path, monkeypatch):
    """Most images, and then nothing is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with somewhere_to_write():
        assert Path.cwd() == tmp_path
        assert os.environ["HOME"] == str(tmp_path)


def test_the_working_directory_is_replaced_by_one_that_has_its_files(
    tmp_path, monkeypatch, unwritable
):
    """They can be read by their relative paths; new ones can be written, and the old place is back."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("1,2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    unwritable.add(str(tmp_path))
    with somewhere_to_write():
        made = Path.cwd()
        assert Path("data/table.csv").read_text() == "1,2"
        Path("new.csv").write_text("3,4")
        assert os.environ["HOME"] == str(tmp_path.parent)
    assert Path.cwd() == tmp_path
    assert not made.exists()
    assert not (tmp_path / "new.csv").exists()
    assert (tmp_path / "data" / "table.csv").exists()


@pytest.mark.parametrize("home", [None, "", "/", "/no/such/home"])
def test_a_home_that_cannot_be_written_is_replaced(tmp_path, monkeypatch, unwritable, home):
    """As that of a user without an entry in passwd."""
    monkeypatch.chdir(tmp_path)
    unwritable.add("/")
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    with somewhere_to_write():
        assert Path.cwd() == tmp_path
        (Path.home() / ".config").write_text("written")
    assert os.environ.get("HOME") == home


def test_without_a_link_to_all_there_is(monkeypatch, unwritable):
    """The root directory is nobody's working directory by choice."""
    monkeypatch.chdir("/")
    unwritable.add("/")
    with somewhere_to_write():
        assert list(Path.cwd().iterdir()) == []
        Path("new.csv").touch()
    assert Path.cwd() == Path("/")


def test_where_nothing_can_be_written_the_run_goes_on(tmp_path, monkeypatch, unwritable):
    """It may need nothing."""
    monkeypatch.chdir(tmp_path)
    unwritable.add(str(tmp_path))

    def refuse(_name):
        raise OSError

    monkeypatch.setattr("prefect.files.private_directory", refuse)
    with somewhere_to_write():
        assert Path.cwd() == tmp_path

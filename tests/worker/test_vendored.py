"""`python etl.pyz` with packages that travel: those of an index are unpacked once, and kept."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest
from own_venv import Venv
from project_making import project
from pyz_making import run

FLOW = """
import msgpack, ownlib
from prefect import Flow, task

@task
def tell():
    print("of an index", msgpack.packb([1]), msgpack.__file__)
    print("own", ownlib.ANSWER, ownlib.__file__)

with Flow("tells") as flow:
    tell()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory that has tells.pyz, with a package of an index and one of the user's own, and keys."""
    place = tmp_path_factory.mktemp("made")
    venv = Venv(place / "venv")
    venv.install("-e", project(place / "project"))
    (place / "tells.py").write_text(FLOW)
    for arguments in (
        ["keygen", "flow.key"],
        ["keygen", "other.key"],
        ["build", "tells.py", "-o", "tells.pyz", "--key-file", "flow.key", "--vendor"],
    ):
        subprocess.run([venv.python, "-P", "-m", "prefect", *arguments], cwd=place, check=True)
    return place


@pytest.fixture
def tells(made, tmp_path):
    """A function that runs the file by a Python without packages, with a home of its own."""
    (tmp_path / "tmp").mkdir()

    def ran(key="flow.key"):
        return run(
            sys.executable, made / "tells.pyz", "--key-file", made / key, cwd=tmp_path,
            environment={"HOME": str(tmp_path), "TMPDIR": str(tmp_path / "tmp")},
        )  # fmt: skip

    def start(**more):
        command = [sys.executable, "-I", "-S", made / "tells.pyz", "--key-file", made / "flow.key"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        return subprocess.Popen(command, cwd=tmp_path, env=environment, **more)

    ran.start = start
    ran.cache = tmp_path / ".cache" / "prefect" / "vendored"
    return ran


def kept(cache):
    """Return the directories that are kept."""
    return sorted(cache.glob("[!.]*"))


def test_packages_of_an_index_are_unpacked_once_and_those_of_ones_own_are_not_kept(tells):
    """For this user alone, with their bytecode; what was encrypted of one's own is gone with the run."""
    numbers = set()
    for _ in range(2):
        done = tells()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "of an index b'\\x91\\x01'" in done.stdout
        assert f"{tells.cache}/" in done.stdout
        assert "own 42" in done.stdout
        (place,) = kept(tells.cache)
        numbers.add(place.stat().st_ino)
    assert len(numbers) == 1
    assert stat.S_IMODE(tells.cache.stat().st_mode) == 0o700
    assert list(place.glob("site-packages/msgpack/__pycache__/*.pyc"))
    home = tells.cache.parents[2]
    assert not [path for path in home.rglob("*") if "ownlib" in path.name]
    assert not list((home / "tmp").iterdir())


def test_a_key_that_does_not_open_it_has_nothing_unpacked(tells):
    """Before the sealed flow is authenticated, nothing of what it brings is written, or looked for."""
    done = tells("other.key")
    assert done.returncode == 2
    assert "of an index" not in done.stdout
    assert not tells.cache.exists()


def test_what_a_cleaner_took_a_part_of_is_unpacked_again(tells):
    """Nothing is imported of a directory that lacks a file."""
    assert tells().returncode == 0
    (place,) = kept(tells.cache)
    (place / "site-packages" / "msgpack" / "ext.py").unlink()
    done = tells()
    assert done.returncode == 0, done.stderr
    assert (place / "site-packages" / "msgpack" / "ext.py").exists()


def test_runs_that_start_at_once_share_what_they_unpack(tells):
    """None of them sees what is not whole, and nothing is left beside it."""
    runs = [tells.start(stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [(one.communicate(timeout=240)[0], one.returncode) for one in runs]
    assert all(status == 0 and "of an index" in out for out, status in told), told
    assert len(kept(tells.cache)) == 1
    assert list(tells.cache.glob(".*")) == []


def test_a_kill_while_it_unpacks_leaves_nothing_that_is_believed(tells):
    """The next run unpacks anew."""
    with tells.start(stdout=subprocess.DEVNULL) as killed:
        while not list(tells.cache.glob(".*/site-packages/*")) and killed.poll() is None:
            time.sleep(0.001)
        killed.send_signal(signal.SIGKILL)
    for place in kept(tells.cache):  # it was quicker: then all of it is there
        assert (place / "site-packages" / "msgpack" / "ext.py").exists()
    assert tells().returncode == 0
    assert len(kept(tells.cache)) == 1


def test_without_a_cache_each_run_unpacks_for_itself(made, tmp_path):
    """As where there is no home; all is gone afterwards."""
    done = run(
        sys.executable, made / "tells.pyz", "--key-file", made / "flow.key", cwd=tmp_path,
        environment={"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of an index" in done.stdout
    assert list(tmp_path.iterdir()) == []

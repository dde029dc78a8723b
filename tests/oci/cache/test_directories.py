"""`prefect.oci.cache.directories`, with real processes and kills."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from prefect.errors import DiskFullError
from prefect.oci.cache.directories import hold, place_of
from prefect.oci.cache.store import Store

# Makes directories of forty files each, and notes each making, until it is told to stop or killed.
WORKER = """
import sys, time
from pathlib import Path
from prefect.oci.cache.store import Store
directory, log, *keys = sys.argv[1:]
def make(path):
    path.mkdir()
    for number in range(40):
        (path / str(number)).write_text(f"{path}\\n" * 100)
        time.sleep(0.001)
    with open(log, "a") as lines:
        lines.write("made\\n")
with Store(Path(directory)) as store:
    for key in keys:
        with store.directory(key, make, lambda: print("waiting", flush=True)) as held:
            files = sorted(held.path.iterdir())
            assert len(files) == 40 and all(f.read_text() == f"{held.path}\\n" * 100 for f in files)
            print(key, flush=True)
"""


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options
    )  # fmt: skip


def filling(content="x", made=None):
    """Return what makes a directory of one file."""

    def make(path):
        path.mkdir()
        (path / "file").write_text(content)
        if made is not None:
            made.append(path)

    return make


def test_several_make_one_and_the_others_wait(tmp_path):
    """Of processes that want the same directories, one makes each."""
    keys = [f"key-{number}" for number in range(3)]
    processes = [start(tmp_path / "store", tmp_path / "log", *keys) for _ in range(4)]
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert [line for line in out.split("\n") if line.startswith("key")] == keys
    assert (tmp_path / "log").read_text() == "made\n" * 3


def test_a_kill_at_any_moment_leaves_nothing_that_is_believed(tmp_path):
    """After kills while directories are made, whole ones are found, and the rest is cleaned up."""
    store, log, randomly = tmp_path / "store", tmp_path / "log", random.Random(1)
    keys = [f"key-{number}" for number in range(20)]
    Store(store).close()
    kept = store / "v1" / "directories"
    for _ in range(6):
        process = start(store, log, *keys)
        process.stdout.readline()  # it is at work
        time.sleep(randomly.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start(store, log, *keys)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert out.split() == keys
    with Store(store) as opened:
        opened.scratch()  # which sweeps
        assert len(list(kept.iterdir())) == len(keys)
        assert all(len(list(place.iterdir())) == 3 for place in kept.iterdir())


def test_what_is_held_is_not_removed(tmp_path):
    """Neither by its own store's limit nor by who clears the cache; nor while a child holds it."""
    with Store(tmp_path, limit=10) as store, Store(tmp_path) as other:
        with store.directory("key", filling("x" * 100)) as held:
            assert other.clear() == 0
            child = subprocess.Popen(["sleep", "60"], pass_fds=[held.handle])
        try:
            assert other.clear() == 0
            assert held.path.is_dir()
        finally:
            child.kill()
            child.wait()
        assert other.clear() == 100
        assert not held.path.exists()
        assert hold(place_of(store.root, "key")) is None


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    """Directories count with what they took, as files do."""
    with Store(tmp_path, limit=250) as store:
        for number, key in enumerate(("old", "new")):
            with store.directory(key, filling("x" * 100)):
                lock = place_of(store.root, key) / "lock"
                os.utime(lock, (number, number))
        store.directory("newest", filling("x" * 100)).close()
        assert hold(place_of(store.root, "old")) is None
        hold(place_of(store.root, "new")).close()


def test_what_fails_is_not_kept(tmp_path):
    """The error is the maker's, and the next one makes it."""

    def fail(path):
        filling()(path)
        raise ValueError("as asked")

    with Store(tmp_path) as store:
        with pytest.raises(ValueError, match="as asked"):
            store.directory("key", fail)
        assert list((tmp_path / "v1" / "directories").iterdir()) == []
        store.directory("key", filling()).close()


def test_a_full_disk_is_told_with_the_cache(tmp_path):
    """As for layers."""

    def fill(path):
        path.mkdir()
        (path / "full").symlink_to("/dev/full")
        (path / "full").write_text("x")

    with Store(tmp_path) as store, pytest.raises(DiskFullError, match=f"the cache {tmp_path}"):
        store.directory("key", fill)


@pytest.mark.parametrize("change", ["mode", "added", "removed", "gone", "replaced", "torn"])
def test_what_was_changed_is_made_anew(tmp_path, change):
    """What others may write, what installers added to or removed, and what is not whole."""
    made = []
    with Store(tmp_path) as store:
        with store.directory("key", filling(made=made), watched=1) as held:
            path = held.path
        place = path.parent
        match change:
            case "mode":
                path.chmod(0o770)
            case "added":
                (path / "more").touch()
            case "removed":
                (path / "file").unlink()
            case "gone":
                path.rename(tmp_path / "elsewhere")
            case "replaced":
                path.rename(tmp_path / "elsewhere")
                path.symlink_to(tmp_path / "elsewhere")
            case "torn":
                (place / "complete").write_text('{"content":')
        with store.directory("key", filling(made=made)) as held:
            assert held.path == made[1] != path
            assert [file.name for file in held.path.iterdir()] == ["file"]
            assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_somebody_else_has_put_there_is_not_taken(tmp_path):
    """Also where it is for its owner alone."""
    with Store(tmp_path) as store:
        with store.directory("key", filling()) as held:
            os.chown(held.path, 12345, 12345)
        with store.directory("key", filling()) as again:
            assert again.path != held.path
            assert again.path.stat().st_uid == os.geteuid()


def test_what_was_changed_and_is_in_use_is_waited_for(tmp_path):
    """Who uses it keeps it as it is until it ends, and that is said."""
    with Store(tmp_path) as store:
        held = store.directory("key", filling(), watched=1)
        (held.path / "more").touch()
        told = []

        def waiting():
            told.append(held.path.exists())
            held.close()

        with store.directory("key", filling(), waiting) as again:
            assert again.path != held.path
        assert told == [True]

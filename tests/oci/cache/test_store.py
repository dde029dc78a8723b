"""`prefect.oci.cache.store`, with real files, processes and kills."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import ImageContentError
from prefect.oci.cache.store import Store
from prefect.oci.images import Blob, blob_of, digest_of
from prefect.oci.layers.writing import Entry, Written, write_layer

TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"

# Makes layers, and notes each making in a file, until it is told to stop or killed.
WORKER = """
import sys, time, random
from pathlib import Path
from prefect.oci.layers.writing import Entry, write_layer
from prefect.oci.cache.store import Store
directory, log, seed, *keys = sys.argv[1:]
randomly = random.Random(int(seed))
randomly.shuffle(keys)
with Store(Path(directory)) as store:
    for key in keys:
        def make(file):
            with open(log, "a") as lines:
                lines.write(key + "\\n")
            content = random.Random(key).randbytes(300_000)
            return write_layer([Entry(f"own/{i}", content) for i in range(8)], file, own="own")
        layer = store.layer(key, make, "type")
        print(key, layer.diff_id, layer.blob.digest, flush=True)
"""


def maker(content: bytes, made: list | None = None):
    def make(file) -> Written:
        if made is not None:
            made.append(content)
        return write_layer([Entry("own/file", content)], file, own="own")

    return make


def content_of(layer) -> bytes:
    with layer.blob.open() as file:
        data = file.read()
    assert digest_of(data) == layer.blob.digest
    assert len(data) == layer.blob.size
    return data


def blobs(directory: Path) -> list[Path]:
    return sorted((directory / "v1" / "blobs").iterdir())


def start(directory, log, seed, *keys):
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, directory, log, str(seed), *keys],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_layer_is_made_once_and_found_again(tmp_path):
    """The same store, and the next one, find under the key what was made for it."""
    made = []
    with Store(tmp_path) as store:
        assert not store.has_layer("key")
        first = store.layer("key", maker(b"x", made), TYPE)
        assert store.has_layer("key")
        assert store.layer("key", maker(b"x", made), TYPE) == first
        content_of(first)
    with Store(tmp_path) as store:
        again = store.layer("key", maker(b"x", made), TYPE)
        assert again == first
        content_of(again)
        store.layer("other", maker(b"y", made), TYPE)
    assert made == [b"x", b"y"]
    assert list((tmp_path / "v1" / "work").iterdir()) == []
    assert list((tmp_path / "v1" / "locks").iterdir()) == []


def test_readers_do_not_move_each_other(tmp_path):
    """Two who read one blob at a time each see it from its start."""
    with Store(tmp_path) as store:
        layer = store.layer("key", maker(os.urandom(3000)), TYPE)
        with layer.blob.open() as one, layer.blob.open() as two:
            assert one.read(100) == two.read(100)
            assert one.read() == two.read()


def test_a_failed_maker_leaves_nothing(tmp_path):
    """An error of the maker is raised as it is, and the next one makes the layer."""

    def fail(file) -> Written:
        file.write(b"half")
        raise ZeroDivisionError

    with Store(tmp_path) as store:
        with pytest.raises(ZeroDivisionError):
            store.layer("key", fail, TYPE)
        assert blobs(tmp_path) == []
        content_of(store.layer("key", maker(b"x"), TYPE))


def test_threads_that_want_one_layer_make_it_once(tmp_path):
    """A store is used by threads as by processes."""
    made, found = [], []

    def slow(file) -> Written:
        time.sleep(0.05)
        return maker(b"x", made)(file)

    with Store(tmp_path) as store:
        threads = [
            threading.Thread(target=lambda: found.append(store.layer("key", slow, TYPE)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(made) == 1
    assert len(found) == 4
    assert len(set(found)) == 1


def test_processes_share_the_work(tmp_path):
    """Several builds of the same and other keys at once: each key is made once, by one of them."""
    log = tmp_path / "log"
    keys = [f"key-{i}" for i in range(5)]
    running = [start(tmp_path / "store", log, seed, *keys, f"own-{seed}") for seed in range(4)]
    told = set()
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        told.update(out.splitlines())
    assert len(told) == len(keys) + 4
    assert sorted(log.read_text().split()) == sorted(keys + [f"own-{seed}" for seed in range(4)])


def test_a_kill_at_any_moment_leaves_nothing_that_is_believed(tmp_path):
    """After kills at random moments, a build finds whole layers only, and cleans up."""
    store, log, randomly = tmp_path / "store", tmp_path / "log", random.Random(1)
    keys = [f"key-{i}" for i in range(40)]
    for seed in range(6):
        process = start(store, log, seed, *keys)
        process.stdout.readline()  # it is at work
        time.sleep(randomly.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    good = start(store, log, 99, *keys)
    out, err = good.communicate(timeout=60)
    assert good.returncode == 0, err
    with Store(store) as opened:
        for line in out.splitlines():
            key, diff_id, digest = line.split()
            layer = opened.layer(key, lambda file: pytest.fail("was made again"), TYPE)
            assert (layer.diff_id, layer.blob.digest) == (diff_id, digest)
            content_of(layer)
        opened.scratch()
        assert len(list((store / "v1" / "work").iterdir())) == 1  # its own
        assert list((store / "v1" / "locks").iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "grown", "flipped", "emptied", "deleted"])
def test_altered_blobs_are_made_again(tmp_path, damage):
    """What is not what its digest says is never handed out, whatever happened to it."""
    made = []
    with Store(tmp_path) as store:
        good = content_of(store.layer("key", maker(b"x" * 1000, made), TYPE))
    (path,) = blobs(tmp_path)
    bad = {
        "cut": good[:-1],
        "grown": good + b"x",
        "flipped": good[:-9] + bytes([good[-9] ^ 1]) + good[-8:],
        "emptied": b"",
    }
    path.unlink() if damage == "deleted" else path.write_bytes(bad[damage])
    with Store(tmp_path) as store:
        assert content_of(store.layer("key", maker(b"x" * 1000, made), TYPE)) == good
    assert len(made) == 2
    with Store(tmp_path) as store:
        assert content_of(store.layer("key", maker(b"x" * 1000, made), TYPE)) == good
    assert len(made) == 2


def test_what_is_made_again_otherwise_is_an_error(tmp_path):
    """A digest that was promised is not answered with other bytes."""
    with Store(tmp_path) as store:
        store.layer("key", maker(b"x" * 1000), TYPE)
    (path,) = blobs(tmp_path)
    path.write_bytes(bytes(path.stat().st_size))
    with Store(tmp_path) as store:
        layer = store.layer("key", maker(b"another"), TYPE)
        with pytest.raises(ImageContentError, match="build the image again"):
            layer.blob.open()


@settings(deadline=None)
@given(at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_altered_facts_are_forgotten(tmp_path_factory, at, bit):
    """A fact whose file was changed anywhere is as unknown as one that was never there."""
    directory = tmp_path_factory.mktemp("store")
    with Store(directory) as store:
        store.remember("key", {"a": [1, "é", None]})
        assert store.recall("key") == {"a": [1, "é", None]}
        (path,) = (directory / "v1" / "facts").iterdir()
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= 1 << bit
        path.write_bytes(data)
        assert store.recall("key") is None


def test_facts_have_an_age(tmp_path):
    """A fact is not recalled past the age that is asked for, nor if it is from the future."""
    with Store(tmp_path) as store:
        store.remember("key", 1)
        assert store.recall("key") == store.recall("key", max_age=60) == 1
        assert store.recall("key", max_age=-1) is None
        assert store.recall("another") is None


def test_the_limit_is_kept_and_what_is_used_stays(tmp_path):
    """What was not used for longest goes first, and nothing that a running process holds."""
    size = 100_000
    limit = int(3.5 * size)
    with Store(tmp_path, limit) as store:
        for i in range(3):
            store.layer(f"key-{i}", maker(random.Random(i).randbytes(size)), TYPE)
    for age, path in enumerate(blobs(tmp_path)):
        os.utime(path, (1000 + age, 1000 + age))
    with Store(tmp_path, limit) as user:
        held = user.layer("key-1", maker(b""), TYPE)
        with Store(tmp_path, limit) as store:
            store.layer("key-3", maker(random.Random(3).randbytes(size)), TYPE)
            assert user.has_layer("key-1")
            assert store.has_layer("key-3")
            assert len(blobs(tmp_path)) == 3
        with Store(tmp_path, 0) as store:  # all that is not in use
            store.layer("key-4", maker(b""), TYPE)
        assert [p.name for p in blobs(tmp_path)] == [held.blob.digest[7:]]
        content_of(held)


def test_more_than_the_limit_is_given_up_when_the_store_is_closed(tmp_path):
    """A build that needs more than the limit works; afterwards the limit holds."""
    with Store(tmp_path, 1) as store:
        layers = [store.layer(f"key-{i}", maker(bytes([i])), TYPE) for i in range(3)]
        for layer in layers:
            content_of(layer)
    assert blobs(tmp_path) == []


def test_clear_deletes_what_nobody_uses(tmp_path):
    """It returns the bytes that were given back."""
    with Store(tmp_path) as user:
        held = user.layer("used", maker(b"x"), TYPE)
        with Store(tmp_path) as store:
            other = store.layer("other", maker(b"y"), TYPE)
        with Store(tmp_path) as store:
            assert store.clear() >= other.blob.size
        content_of(held)
    assert [p.name for p in blobs(tmp_path)] == [held.blob.digest[7:]]


def test_bytes_stay_readable_when_the_cache_is_deleted_by_hand(tmp_path):
    """Until the store is closed: afterwards the error says that it was."""
    with Store(tmp_path / "store") as store:
        layer = store.layer("key", maker(b"x"), TYPE)
        (tmp_path / "store").rename(tmp_path / "gone")
        content_of(layer)
    with pytest.raises(ValueError, match="closed"):
        layer.blob.open()


@pytest.mark.parametrize("place", ["none", "file", "read-only"])
def test_a_cache_that_cannot_be_written_is_replaced(tmp_path, monkeypatch, place):
    """A temporary directory does the same work, and goes with the store."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "tmp").mkdir()
    directory = None if place == "none" else tmp_path / "cache"
    if place == "file":
        directory.write_text("a file")
    elif place == "read-only":
        with Store(directory):
            pass
        # As root, permissions forbid nothing: this is what a read-only file system says.
        access = os.access
        monkeypatch.setattr(
            "os.access", lambda path, mode: directory not in path.parents and access(path, mode)
        )
    made = []
    with Store(directory) as store:
        layer = store.layer("key", maker(b"x", made), TYPE)
        assert store.layer("key", maker(b"x", made), TYPE) == layer
        content_of(layer)
        store.remember("fact", 1)
        assert store.recall("fact") == 1
    assert len(made) == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def source(content: bytes, opened: list) -> Blob:
    def read():
        opened.append(1)
        return io.BytesIO(content)

    return Blob(TYPE, digest_of(content), len(content), read)


def test_a_blob_is_fetched_once(tmp_path):
    """One that was read to its end, and was right, is on disk the next time."""
    opened, content = [], os.urandom(2_500_000)
    for _ in range(3):
        with Store(tmp_path) as store:
            blob = store.blob(source(content, opened))
            with blob.open() as file:
                assert file.read() == content
    assert len(opened) == 1


def test_a_blob_that_was_read_in_part_is_not_kept(tmp_path):
    """Half a download is none."""
    content = os.urandom(5_000_000)
    with Store(tmp_path) as store:
        with store.blob(source(content, [])).open() as file:
            file.read(10)
        assert blobs(tmp_path) == []
        assert list(store.scratch().iterdir()) == []


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:-1] + b"x"])
def test_a_blob_that_is_not_what_it_should_be_is_an_error(tmp_path, change):
    """Cut, grown or altered bytes are said to be so, and are not kept."""
    content = os.urandom(1000) + b"\0"
    wrong = Blob(TYPE, digest_of(content), len(content), lambda: io.BytesIO(change(content)))
    with Store(tmp_path) as store:
        with pytest.raises(ImageContentError, match="altered"), store.blob(wrong).open() as file:
            file.read()
        assert blobs(tmp_path) == []


def test_an_altered_blob_is_fetched_again(tmp_path):
    """What is on disk is compared before it is used."""
    opened, content = [], os.urandom(1000)
    with Store(tmp_path) as store, store.blob(source(content, opened)).open() as file:
        file.read()
    (path,) = blobs(tmp_path)
    path.write_bytes(bytes(1000))
    with Store(tmp_path) as store, store.blob(source(content, opened)).open() as file:
        assert file.read() == content
    assert len(opened) == 2


def test_a_digest_cannot_name_another_file(tmp_path):
    """What is no SHA-256 digest is passed through, and no path is made of it."""
    odd = Blob(TYPE, "sha256:../../x", 1, lambda: io.BytesIO(b"x"))
    with Store(tmp_path) as store:
        assert store.blob(odd) is odd


def test_a_record_cannot_name_another_file(tmp_path):
    """A record that is well-formed JSON but no layer's is not believed."""
    with Store(tmp_path) as store:
        store.remember("layer key", ["sha256:x", "sha256:../../../etc/passwd", 1, 1])
        content_of(store.layer("key", maker(b"x"), TYPE))


def test_a_fork_that_ends_leaves_its_parents_files(tmp_path):
    """What the parent has in the making is not the child's to delete."""
    with Store(tmp_path) as store:
        path = store.scratch() / "mine"
        path.touch()
        child = os.fork()
        if child == 0:
            store._finalizer()
            os._exit(0)
        os.waitpid(child, 0)
        assert path.exists()


def test_blobs_in_memory_need_no_store(tmp_path):
    """A blob of bytes in memory is kept as any other is."""
    with Store(tmp_path) as store, store.blob(blob_of(b"x", TYPE)).open() as file:
        assert file.read() == b"x"
    assert blobs(tmp_path)[0].name == hashlib.sha256(b"x").hexdigest()


def test_a_fact_that_is_no_json_of_ours_is_forgotten(tmp_path):
    """Checksums of a stranger's making do not make a fact of what is none."""
    with Store(tmp_path) as store:
        store.remember("key", 1)
        (path,) = (tmp_path / "v1" / "facts").iterdir()
        for body in (b"[]", b"{}", b"\xff", json.dumps({"key": "other", "value": 1}).encode()):
            path.write_bytes(digest_of(body).encode() + b"\n" + body)
            assert store.recall("key") is None


def test_what_is_altered_while_it_is_read_is_an_error(tmp_path):
    """Bytes were compared before they are read; if the file changed since, they are once more."""
    content = os.urandom(5_000_000)
    with Store(tmp_path) as store:
        blob = store.blob(source(content, []))
        with blob.open() as file:
            file.read()
        (path,) = blobs(tmp_path)
        with blob.open() as file:
            file.read(10)
            os.utime(path)  # as another process does that uses it
            assert file.read() == content[10:]
        with blob.open() as file:
            file.read(10)
            with path.open("r+b") as other:
                other.seek(4_000_000)
                other.write(b"another")
            os.utime(path)
            with pytest.raises(ImageContentError, match="while it was read"):
                file.read()

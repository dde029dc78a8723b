"""Results by key: whole or not at all, checked when they are read."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from prefect import Flow
from prefect.errors import ResultUnavailableError, StoreError
from prefect.store.store import Stored, default_store, open_store

KEY = "a" * 64
LARGE = "x" * 100_000


@pytest.fixture(params=["directory", "url"])
def store(request, tmp_path):
    """A store in a directory, and one that fsspec reaches."""
    if request.param == "directory":
        return open_store(tmp_path / "store")
    pytest.importorskip("fsspec")
    return open_store(f"memory://{tmp_path.name}-{os.getpid()}")


@pytest.mark.parametrize("value", [1, "text", LARGE, None, {"a": {1, 2}}])
def test_a_result_is_found_by_its_key(store, value):
    """What was put is there, with what its writer said of it, in the same store opened anew."""
    assert store.value(KEY) is None
    assert store.entry(KEY) is None
    put = store.put(KEY, value, {"run": "r"})
    again = open_store(store.where)
    assert again.value(KEY) == (value,)
    entry = again.entry(KEY)
    assert (entry.digest, entry.size, entry.about) == (put.digest, put.size, {"run": "r"})
    assert again.has(entry)


def test_large_results_that_are_equal_are_there_once(store):
    """Two keys of one value share its bytes."""
    for digit in "ab":
        store.put(digit * 64, LARGE, {})
    assert len(list(store.files.listed("values"))) == 1
    assert store.value("a" * 64) == store.value("b" * 64) == (LARGE,)


def test_a_later_result_takes_the_place_of_an_earlier_one(store):
    """A key has the value that was put last."""
    store.put(KEY, 1, {})
    store.put(KEY, LARGE, {})
    assert store.value(KEY) == (LARGE,)


@pytest.mark.parametrize("value", [[1, 2, 3], LARGE])
def test_what_is_damaged_is_as_if_it_had_never_been_stored(tmp_path, value):
    """Each byte of each file counts, and so does its length: no other value comes back."""
    store = open_store(tmp_path / "store")
    store.put(KEY, value, {"run": "r"})
    files = {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()}

    def put_back():  # bytes that have not their digest are removed when they are met
        for path, whole in files.items():
            path.write_bytes(whole)

    for path, whole in files.items():
        step = max(1, len(whole) // 300)
        for position in range(0, len(whole), step):
            path.write_bytes(
                whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
            )
            assert store.value(KEY) in (None, (value,))
            put_back()
            path.write_bytes(whole[:position])
            assert store.value(KEY) is None
            put_back()
    assert store.value(KEY) == (value,)


def test_what_is_damaged_is_not_there_for_who_may_not_change_the_store_either(store, monkeypatch):
    """That it cannot be removed is no error of whoever reads it."""
    store.put(KEY, LARGE, {})
    ((path, _, _),) = store.files.listed("values")
    store.files.write(path, [b"damaged"])

    def refuses(path):
        raise StoreError(f"The store cannot be changed: {path}")

    monkeypatch.setattr(store.files, "remove", refuses)
    assert store.value(KEY) is None


def test_many_writers_of_one_key_leave_one_whole_result(tmp_path):
    """Processes and threads that write the same keys at once do not meet."""
    program = (
        "import sys\nfrom prefect.store.store import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "for number in range(60):\n"
        "    store.put(f'{number % 3:064x}', str(number % 3) * 9000, {})\n"
    )
    where = tmp_path / "store"
    started = [subprocess.Popen([sys.executable, "-c", program, str(where)]) for _ in range(3)]
    store = open_store(where)
    threads = [
        threading.Thread(
            target=lambda: [store.put(f"{n:064x}", str(n) * 9000, {}) for n in range(3)]
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while any(process.poll() is None for process in started):
        for number in range(3):
            assert store.value(f"{number:064x}") in (None, (str(number) * 9000,))
    assert [process.wait() for process in started] == [0, 0, 0]
    for thread in threads:
        thread.join()
    assert [store.value(f"{n:064x}") for n in range(3)] == [(str(n) * 9000,) for n in range(3)]
    assert not list((where / "parts").iterdir())


def test_a_store_is_its_users_alone(tmp_path):
    """Nobody else may read what is in it, whatever the umask is."""
    store = open_store(tmp_path / "store")
    store.put(KEY, LARGE, {})
    for path in (tmp_path / "store").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_what_cannot_be_written_is_an_error_that_names_the_store(tmp_path):
    """A file in the place of the store, or of a directory in it, is said."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"is a directory, and .*file is none"):
        open_store(tmp_path / "file")
    (tmp_path / "store").mkdir()
    for name, value in (("parts", LARGE), ("packs", 1)):
        (tmp_path / "store" / name).write_text("")
        with pytest.raises(StoreError, match=r"The store .*store cannot be written"):
            open_store(tmp_path / "store").put(KEY, value, {})


def test_a_store_that_is_nowhere_says_what_is_missing():
    """An unknown protocol, and one whose package is not installed, are errors of ours."""
    with pytest.raises(StoreError, match="nonsense"):
        open_store("nonsense://x/y")


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("s3://", "s3://BUCKET/RUNS"),
        ("s3:///runs", "s3://BUCKET/RUNS"),
        ("memory://", "memory://PATH/RUNS"),
        ("s3:/bucket", "two slashes"),
        ("file://runs", "file:///PATH"),
        ("  ", "a directory or a URL"),
        ("a\0b", "null character"),
    ],
)
def test_a_slip_in_a_url_makes_no_directory(where, error, tmp_path, monkeypatch):
    """What can be neither a URL nor was meant as a directory is an error that says what is missing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((StoreError, TypeError, ValueError), match=error):
        Flow("test").run(store=where)
    assert list(tmp_path.iterdir()) == []


def test_a_reference_is_read_when_it_is_asked_for(tmp_path):
    """It says where to go when the result is gone."""
    store = open_store(tmp_path / "store")
    store.put(KEY, np.arange(5), {})
    assert Stored(store.where, KEY).fetch().tolist() == [0, 1, 2, 3, 4]
    assert list(Stored(store.where, KEY).items()) == [0, 1, 2, 3, 4]
    with pytest.raises(ResultUnavailableError, match="gone from"):
        Stored(store.where, "b" * 64).fetch()


def test_where_results_are_kept_by_default(monkeypatch, tmp_path):
    """The XDG directory for data, or the one that it stands for."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_store() == str(tmp_path / "prefect")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_store() == str(tmp_path / ".local/share/prefect")

"""What is removed from a store, and what a run needs still."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from prefect import Flow, task
from prefect.store.pruning import prune
from prefect.store.store import open_store

GOES_ON = """
    import sys
    from prefect import Flow, task

    @task
    def large(x):
        return "x" * 100_000

    @task
    def wait(text):
        print("waits", flush=True)
        sys.stdin.readline()
        return len(text)

    with Flow("f") as flow:
        end = wait(large(1))
    if __name__ == "__main__":
        state = flow.run(store=sys.argv[1], resume="resume" in sys.argv)
        print(state.result[end].result)
"""


@pytest.fixture
def started(tmp_path):
    (tmp_path / "flow.py").write_text(textwrap.dedent(GOES_ON))

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "flow.py", *arguments], cwd=tmp_path, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        while process.stdout.readline() != "waits\n":
            pass
        return process

    return start


def _age(where):
    """Have all files of a store be two hours older, and its records tell of such a time."""
    for path in where.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 7200,) * 2)


def test_what_a_run_needs_that_goes_on_is_not_removed(tmp_path, started):
    """Whatever age or size is asked for: its results, those that it took from an earlier run, and its record."""
    where = tmp_path / "store"
    store = open_store(where)
    first = started("store")
    assert prune(store, age=0, most=0) == (0, 0)
    first.kill()
    first.communicate()
    _age(where)
    second = started("store", "resume")  # it has taken a result that is two hours old
    assert prune(store, age=0, most=0) == (0, 0)
    assert second.communicate("\n", timeout=60)[0] == "100000\n"
    assert prune(store, age=0, most=0)[0] == 5  # two packs, a value, two records
    assert list(store.files.listed("")) == []


def test_a_run_goes_on_whose_record_a_full_disk_has_cut_off(tmp_path, started):
    """Half a last line is no end: just then somebody prunes, and what the run needs stays."""
    first = started("store")
    (record,) = (tmp_path / "store" / "runs").iterdir()
    with record.open("ab") as file:
        file.write(b'{"event":"task","ti')
    assert prune(open_store(tmp_path / "store"), age=0, most=0) == (0, 0)
    assert first.communicate("\n", timeout=60)[0] == "100000\n"


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"event":"run","time":1' + b"0" * 400 + b"}"], ids=["deep", "huge"]
)
def test_a_record_that_is_nonsense_keeps_nothing(line):
    """Whatever stands in it: it is an end of nobody's run."""
    store = open_store(f"memory://prune-{os.getpid()}-nonsense-{len(line)}")
    store.put("a" * 64, 1, {})
    store.files.write("runs/r.jsonl", [line])
    assert prune(store, age=-5, most=0)[0] == 2


def test_a_run_without_a_home_directory_comes_to_its_end(tmp_path, monkeypatch):
    """With a store of its own; none is the user's, which would have to be kept small."""

    @task
    def one():
        return 1

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    with Flow("f") as flow:
        end = one()
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", nowhere)
    assert flow.run(store=tmp_path).result[end].result == 1


@pytest.mark.parametrize("ended", [True, False])
def test_in_a_store_elsewhere_a_run_without_an_end_may_go_on(ended):
    """Nobody there knows whether its process lives."""
    store = open_store(f"memory://prune-{os.getpid()}-{ended}")
    store.put("a" * 64, 1, {})
    lines = [{"event": "run", "time": time.time()}, *([{"event": "flow"}] if ended else [])]
    store.files.write("runs/r.jsonl", ["\n".join(map(json.dumps, lines)).encode()])
    assert prune(store, age=-5, most=0)[0] == (2 if ended else 0)


def test_the_users_own_store_is_kept_small(tmp_path, monkeypatch, caplog):
    """Results that were not used for longest go when a run ends; not more than once in an hour."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_STORE_SIZE", "150kB")
    where = tmp_path / "prefect"

    @task(cache=True)
    def large(x):
        return str(x) * 100_000

    with Flow("f") as flow:
        large.map([1, 2, 3])

    flow.run()
    values = lambda: len(list(open_store(where).files.listed("values")))  # noqa: E731
    assert values() == 1
    flow.run()
    assert values() == 3
    os.utime(where / "bounded", (time.time() - 7200,) * 2)
    flow.run()
    assert values() == 1
    os.utime(where / "bounded", (time.time() - 7200,) * 2)
    monkeypatch.setenv("PREFECT_STORE_SIZE", "much")
    assert flow.run().is_successful()
    assert "PREFECT_STORE_SIZE is 'much', which is no size" in caplog.text


def test_a_killed_process_holds_nothing(tmp_path, started):
    """What it locked is free as soon as it is gone."""
    process = started("store")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert prune(open_store(tmp_path / "store"), age=0, most=None)[0] == 3

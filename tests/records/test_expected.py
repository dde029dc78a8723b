"""`prefect.records.expected`: what an earlier run says of how long a flow may take."""

import errno
import os

import pytest

import records
from prefect.progress.counts import Counts
from prefect.records.expected import expect, expected_of
from prefect.records.reading import read_record
from prefect.store.store import open_store


def test_the_last_run_that_succeeded_is_what_is_expected(tmp_path):
    """Of its flow; others, and those that failed, say nothing."""
    (tmp_path / "runs").mkdir()
    for name, state, flow in (
        ("1", "Success", "etl"),
        ("2", "Failed", "etl"),
        ("3", "Success", "other"),
    ):
        made = records.Making(records.flow(flow, [records.task("load-1")], []), run=f"r-{name}")
        made.run("load-1", seconds=float(name))
        records.write(tmp_path / "runs" / f"r-{name}.jsonl", made.end(state))
    counts = Counts(records.flow("etl", [records.task("load-1")], []))
    expect(counts, open_store(tmp_path), "etl").join()
    first = read_record(tmp_path / "runs" / "r-1.jsonl")
    [one] = first.tasks["load-1"].tries
    assert counts.expected.seconds == {"load-1": pytest.approx(one.ended - one.started)}
    nothing = Counts(records.flow("new", [], []))
    expect(nothing, open_store(tmp_path), "new").join()
    assert nothing.expected is None


def test_a_bucket_that_does_not_list_its_runs_keeps_no_run_from_its_results(tmp_path, monkeypatch):
    """A server that fails rests for a while, but not for a failure of what is a matter of convenience."""
    system = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem

    def fails(*_, **__):
        raise OSError(errno.EBUSY, "Slow down")

    store = open_store(f"memory://{tmp_path.name}-{os.getpid()}")
    with monkeypatch.context() as patched:
        patched.setattr(system, "find", fails)
        expect(Counts(records.flow("new", [], [])), store, "new").join()
    store.put("a" * 64, 1, {})
    assert store.value("a" * 64) == (1,)


def test_what_was_cached_says_nothing_of_how_long_it_takes(tmp_path):
    """A mapped task is told by the mean of its children, with all of their tries."""
    run = read_record(records.write(tmp_path / "run.jsonl", records.small()))
    expected = expected_of(run)
    assert "extract-1" not in expected.seconds
    assert expected.units["train-1"] == 12
    children = run.tasks["train-1"].children.values()
    spent = sum(one.ended - one.started for child in children for one in child.tries)
    assert expected.seconds["train-1"] == pytest.approx(spent / 12)
    assert "n" not in expected.units

"""Which run is meant, and what a store is pruned of."""

import os
import time

import pytest

from prefect import Flow, Parameter, task
from prefect.errors import RecordError
from prefect.records.finding import find_run, read_run, run_meant, runs_in
from prefect.store.pruning import prune
from prefect.store.store import open_store


@task
def large(n):
    return "x" * n


@pytest.fixture
def store(tmp_path):
    """A store with three runs of one flow."""
    with Flow("large one") as flow:
        large(Parameter("n", default=10))
    for n in (10, 20_000, 30_000):
        flow.run(store=tmp_path / "store", n=n)
    return open_store(tmp_path / "store")


def test_a_run_is_meant_by_its_name_an_end_of_it_or_as_the_last(store):
    """What several may mean, and what none has, is said with what there is."""
    names = runs_in(store)
    assert len(names) == 3
    assert names == sorted(names)
    for name in names:
        assert "-large-one-" in name
        assert find_run(store, name) == find_run(store, name[-8:]) == name
    assert find_run(store, "last") == names[-1]
    assert find_run(store, "last", lambda run: run.parameters == {"n": 20_000}) in names
    with pytest.raises(RecordError, match="3 runs that this may mean"):
        find_run(store, "2")
    with pytest.raises(RecordError, match="has no such run"):
        find_run(store, "last", lambda _: False)
    with pytest.raises(RecordError, match="has no record of a run"):
        read_run(store, "nonsense")


def test_what_a_recorder_writes_is_what_a_reader_reads(store):
    """The states, times, results, inputs and code of the tasks, and the run that stored what was taken."""
    run = run_meant("last", store.where)
    (slug,) = [slug for slug in run.tasks if slug.startswith("large")]
    found = run.tasks[slug]
    assert run.state == "Success"
    assert run.ignored == 0
    assert found.state == "Success"
    assert found.result.size == 30_000
    assert found.result.format == "text"
    assert set(found.inputs) == {"n"}
    assert len(found.tries) == 1
    assert 0 <= found.tries[0].ended - found.tries[0].started < 60
    assert list(run.code[slug]) == ["test_finding.large"] or "large" in next(iter(run.code[slug]))
    assert run_meant(f"{store.where}/runs/{run.run}.jsonl").run == run.run


def test_what_was_not_used_for_long_is_removed(store):
    """By age all of it; by size the results alone, those first that were not used for longest."""
    assert prune(store, age=3600, most=None) == (0, 0)
    assert prune(store, age=None, most=1 << 30) == (0, 0)
    paths = sorted(path for path, _, _ in store.files.listed("values"))
    assert len(paths) == 2
    old = time.time() - 7200
    path = f"{store.where}/{paths[0]}"
    os.utime(path, (old, old))
    removed, freed = prune(store, age=None, most=45_000)
    assert removed == 1
    assert freed in (20_000, 30_000)
    assert [each for each, _, _ in store.files.listed("values")] == [paths[1]]
    for each, _, _ in [*store.files.listed("runs"), *store.files.listed("packs")]:
        os.utime(f"{store.where}/{each}", (old, old))
    removed, _ = prune(store, age=3600, most=None)
    assert removed == 3  # and not the pack, which this process may append to
    assert runs_in(store) == []

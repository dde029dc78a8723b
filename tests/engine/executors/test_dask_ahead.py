"""Tasks that a Dask cluster is given before those they wait for are done."""

import os
import signal
from pathlib import Path

import pytest
from dask_cluster import Cluster
from observing import until, when_running

import prefect
from prefect import Flow, task, triggers
from prefect.engine import signals
from prefect.engine.executors import DaskExecutor
from prefect.engine.state import Failed, Skipped, Success, TriggerFailed


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two workers, for all tests here."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.worker(name="one"), cluster.worker(name="two")
    cluster.wait_for_workers(2)
    yield cluster
    cluster.end()


@pytest.fixture
def executor(cluster):
    """An executor that connects to the cluster."""
    return DaskExecutor(cluster.address)


@pytest.fixture
def sent(monkeypatch):
    """How many jobs went to the scheduler at a time."""
    from distributed import Client

    found, real = [], Client.map

    def note(self, function, *iterables, **settings):
        found.append(len(iterables[0]))
        return real(self, function, *iterables, **settings)

    monkeypatch.setattr(Client, "map", note)
    return found


@task
def inc(x):
    return x + 1


@task
def grow(xs):
    return [*xs, *range(1000)]


def test_a_chain_goes_at_once(executor, sent):
    """No link waits for news of the one before, whether values are small, large or in maps of maps."""
    with Flow("test") as flow:
        small, large = inc(0), grow([])
        for _ in range(50):
            small, large = inc(small), grow(large)
        mapped = inc.map(inc.map(inc.map([1, 2, 3])))
    result = flow.run(executor=executor).result
    assert result[small].result == 51
    assert len(result[large].result) == 51_000
    assert result[mapped].result == [4, 5, 6]
    assert sum(sent) == 51 + 51 + 9
    assert len(sent) <= 5


def test_what_waits_for_several(executor, sent):
    """A task goes ahead when the last of those it waits for has gone."""

    @task
    def add(x, y):
        return x + y

    with Flow("test") as flow:
        a = b = inc(0)
        for _ in range(20):
            a, b = add(a, b), add(b, a)
    assert flow.run(executor=executor).result[a].result == 2**20
    assert len(sent) <= 3


def test_failures_are_told_as_ever(executor, tmp_path):
    """What follows a failure or a skip does not run, and has the states that it has elsewhere."""

    @task
    def writes(x, name):
        (tmp_path / name).touch()
        return x

    @task
    def fails():
        raise ValueError("no")

    @task
    def skips():
        raise signals.SKIP("no need")

    @task
    def early():
        raise signals.SUCCESS("known", result=7)

    with Flow("test") as flow:
        failed, skipped, known = fails(), skips(), early()
        after = writes(failed, "failed")
        further = inc(after)
        over, more = writes(skipped, "skipped"), inc(skipped)
        well = inc(known)
        cleanup = task(
            lambda x: "cleaned", name="cleanup", trigger=triggers.all_finished
        )(further)  # fmt: skip
    for where in ("local", executor):
        result = flow.run(executor=where).result
        kinds = [type(result[t]) for t in (failed, after, further, skipped, over, more)]
        assert kinds == [Failed, TriggerFailed, TriggerFailed, Skipped, Skipped, Skipped]
        assert result[well].result == 8
        assert result[cleanup].result == "cleaned"
        assert isinstance(result[failed].result, ValueError)
    assert not any(tmp_path.iterdir())


def test_retries_of_what_others_wait_for(executor):
    """What had gone ahead goes again, after the try that succeeds."""

    @task(max_retries=2)
    def flaky():
        if prefect.context.task_run_count < 3:
            raise ValueError
        return prefect.context.task_run_count

    kinds = []
    with Flow("test") as flow:
        last = inc(inc(inc(flaky())))
    state = flow.run(executor=executor, on_state=kinds.append)
    assert state.result[last].result == 6
    told = [type(each.state).__name__ for each in kinds if each.task_name == "inc"]
    assert told == ["Running", "Success"] * 3


def test_who_decides_is_waited_for(executor):
    """A value that a state handler replaces is what others get, and a trigger is asked."""
    with Flow("test") as flow:
        replaced = task(
            lambda: 1, name="one", state_handlers=[
                lambda task, old, new: Success(None, 5) if isinstance(new, Success) else None
            ],
        )()  # fmt: skip
        last = inc(inc(replaced))
        asked = task(lambda x: x, name="asked", trigger=triggers.any_failed)(inc(1))
    result = flow.run(executor=executor).result
    assert result[last].result == 7
    assert type(result[asked]) is TriggerFailed


def test_more_than_go_ahead_at_a_time(executor, monkeypatch):
    """A long chain goes in parts."""
    monkeypatch.setattr("prefect.engine.ahead.MOST", 10)
    with Flow("test") as flow:
        last = inc(0)
        for _ in range(100):
            last = inc(last)
        mapped = inc.map(inc.map(list(range(50))))
    result = flow.run(executor=executor).result
    assert result[last].result == 101
    assert result[mapped].result == [number + 2 for number in range(50)]


def test_a_worker_that_dies_in_a_chain(tmp_path):
    """The task that ran there is tried again, and what had gone ahead follows it; each ran as often as told."""
    cluster = Cluster(tmp_path)
    try:
        cluster.worker(name="one"), cluster.worker(name="two")
        cluster.wait_for_workers(2)

        @task(max_retries=1)
        def dies_once(x):
            with Path(tmp_path / "tries").open("a") as file:
                file.write(f"{prefect.context.task_run_count}")
            if prefect.context.task_run_count == 1:
                until((tmp_path / "known").exists)
                os.kill(os.getpid(), signal.SIGKILL)
            return x + 1

        with Flow("test") as flow:
            dies = dies_once(inc(inc(0)))
            last = inc(inc(dies))
        known = when_running(flow, dies, (tmp_path / "known").touch)
        state = flow.run(executor=DaskExecutor(cluster.address), on_state=known)
        assert state.result[last].result == 5
        assert (tmp_path / "tries").read_text() == "12"
    finally:
        cluster.end()

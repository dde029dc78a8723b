"""Tasks that a Dask cluster is given before those they wait for are done."""

import os
import signal
import threading
import time
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
def total_of(xs):
    return sum(xs)


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


def test_lists_and_async_tasks_go_at_once(executor, sent):
    """Whether a task gathers values of others in lists of lists, or is awaited."""

    @task
    def total(xs):
        return sum(xs[0]) + sum(xs[1].values()) + len(xs[2])

    @task
    async def inc_async(x):
        return x + 1

    with Flow("test") as flow:
        ones = [inc(0) for _ in range(20)]
        last = inc(inc(total([ones, {"a": inc(1), "b": 5}, (inc(2), grow([]))])))
        awaited = inc(1)
        for _ in range(5):
            awaited = inc(inc_async(inc_async(awaited)))
    result = flow.run(executor=executor).result
    assert result[last].result == 20 + 2 + 5 + 2 + 2
    assert result[awaited].result == 17
    assert sum(sent) == 20 + 3 + 3 + 16
    assert len(sent) <= 14


def test_order_alone_moves_no_value(executor):
    """What only comes after a task runs after it, and gets nothing of what that returned."""

    @task
    def large(before):
        return os.urandom(1 << 20), time.monotonic(), before

    @task
    def held():
        from distributed import get_worker
        from distributed.sizeof import sizeof

        return time.monotonic(), sum(sizeof(each) > 1 << 19 for each in get_worker().data.values())

    with Flow("test") as flow:
        first = large(inc(1))
        after = [held(upstream_tasks=[first]) for _ in range(8)]
    result = flow.run(executor=executor, results="all").result
    assert all(result[each].result[0] > result[first].result[1] for each in after)
    assert sorted({result[each].result[1] for each in after}) in ([0, 1], [1])


def test_news_of_a_job_may_come_before_that_of_what_it_needs(executor):
    """From another worker, to which the value went sooner than the news of it came here."""

    @task
    def told_late():
        from prefect.engine.executors.dask import worker

        before, worker.AFTER = worker.AFTER, 0.4
        threading.Timer(1, setattr, (worker, "AFTER", before)).start()
        return [*range(1000)]

    @task
    def length(values):
        time.sleep(0.05)
        return len(values)

    with Flow("test") as flow:
        first = told_late()
        after = [inc(length(first)) for _ in range(8)]
    result = flow.run(executor=executor).result
    assert [result[each].result for each in after] == [1001] * 8


def test_jobs_get_small_values_of_their_own(executor):
    """What one changes in a small value is not met by others on its worker, given ahead or not."""

    @task
    def make():
        return [*range(300)]  # 660 bytes, pickled, and ten kilobytes in memory

    @task
    def change(values, before=None):
        values.append(2)
        return len(values)

    with Flow("test") as flow:
        made = make()
        changed = [change(made)]
        for _ in range(6):
            changed.append(change(made, changed[-1]))
    result = flow.run(executor=executor, results="all").result
    assert [result[each].result for each in changed] == [301] * 7
    assert result[made].result == [*range(300)]


def test_what_follows_a_list_or_comes_after_is_not_run_where_one_failed(executor, tmp_path):
    """It has the states that it has elsewhere, and runs where the one that failed is tried again."""

    @task
    def fails():
        raise ValueError("no")

    @task(max_retries=1)
    def flaky():
        if prefect.context.task_run_count < 2:
            raise ValueError
        return 1

    @task
    def writes(x, name):
        (tmp_path / name).touch()
        return x

    @task
    def skips():
        raise signals.SKIP("no need")

    with Flow("test") as flow:
        bad, good, skipped = fails(), inc(0), skips()
        listed = inc(writes([good, [bad]], "list"))
        after = inc(writes(good, "after", upstream_tasks=[bad]))
        over = inc(writes(good, "skipped", upstream_tasks=[skipped]))
        tried = inc(total_of([flaky(), good], upstream_tasks=[inc(flaky())]))
    for where in ("local", executor):
        result = flow.run(executor=where).result
        kinds = [type(result[each]) for each in (listed, after, over)]
        assert kinds == [TriggerFailed, TriggerFailed, Skipped]
        assert result[tried].result == 3
    assert not any(tmp_path.iterdir())


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

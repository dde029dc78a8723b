"""Where values are under DaskExecutor: on the workers that made them, on real clusters of processes."""

import os
import random
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from prefect import Flow, Parameter, Task, task, triggers, unmapped
from prefect.engine import signals
from prefect.engine.executors import DaskExecutor, LocalExecutor
from prefect.engine.executors.dask import session
from prefect.errors import ResultUnavailableError


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two processes for all tests here."""
    from distributed import Client, LocalCluster

    root = str(Path(__file__).parents[3])
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(lambda: sys.path.append(root))  # they import what is defined here
        yield cluster


@pytest.fixture
def executor(cluster):
    """An executor that connects to the cluster."""
    return DaskExecutor(address=cluster.scheduler_address)


def _arrive(shunned, items):
    if os.getpid() == shunned:
        raise RuntimeError("it came to the process that runs the flow")
    return Homebody(shunned, items)


class Homebody(list):
    """A list that never is in one process: the one that runs the flow."""

    def __init__(self, shunned, items):
        super().__init__(items)
        self.shunned = shunned

    def __reduce__(self):
        return _arrive, (self.shunned, list(self))


@task
def make(shunned, start=0, size=1000):
    return Homebody(shunned, range(start, start + size))


@task
def more(items):
    return Homebody(items.shunned, [each + 1 for each in items])


@task
def total(*, xs):
    return sum(sum(x) for x in xs)


@task
def double(x):
    return 2 * x


@task
def summed(xs):
    return sum(xs)


@task
def length(xs):
    return len(xs)


@task
def listed(xs):
    return list(xs)


def test_values_go_from_worker_to_worker(executor):
    """In chains, fan-ins, tuples, dicts and maps values never come to the process that runs the flow."""

    @task
    def both(pair, named):
        return sum(pair[0]) + sum(named["x"]) + named["y"]

    with Flow("test") as flow:
        here = Parameter("here")
        chain = more(more(make(here)))
        fan = [make(here, start) for start in range(5)]
        mapped = make.map(unmapped(here), [1, 2, 3])
        answers = [
            total(xs=[chain]),
            total(xs=fan),
            total(xs=more.map(mapped)),
            total(xs=more.map(fan)),
            both((chain, fan[0]), {"x": chain, "y": 1}),
        ]
    results = flow.run(here=os.getpid(), executor=executor).result
    assert [results[answer].result for answer in answers] == [
        501_500, 2_507_500, 1_507_500, 2_512_500, 1_003_001,
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1000, 50_000], ids=["whole to workers", "split where it lies"])
def test_mapping_over_a_value_leaves_it_where_it_lies(executor, monkeypatch, size):
    """A value of unknown length is mapped over without coming here; its children's results do."""
    monkeypatch.setattr("prefect.engine.executors.dask.refs.SPLIT", 100_000)
    with Flow("test") as flow:
        here = Parameter("here")
        doubled = double.map(make(here, 0, 500))
        long = make(here, 0, size)

        @task
        def pieces(items):
            step = len(items) // 4
            parts = [items[i : i + step] for i in range(0, len(items), step)]
            return Homebody(items.shunned, parts)

        sums = summed.map(pieces(long))
    results = flow.run(here=os.getpid(), executor=executor).result
    assert results[doubled].result == [2 * x for x in range(500)]
    assert sum(results[sums].result) == sum(range(size))


def test_what_cannot_be_mapped_over_says_why(executor):
    """Also where the value is on a worker."""
    with Flow("test") as flow:
        children = double.map(task(lambda: dict.fromkeys(range(100), "x" * 100))())
    state = flow.run(executor=executor).result[children]
    assert "map over a list of its keys, values or items" in state.message


def test_a_result_is_fetched_when_it_is_read(executor):
    """An observer of the run may read a value, which comes then; afterwards there are reference tasks'."""
    read = {}

    def observe(event):
        if event.task_name == "large" and event.state.is_successful():
            read["while"] = len(event.state.result)

    @task
    def large():
        return list(range(500))

    with Flow("test") as flow:
        first = large()
        last = listed(double.map(first))
    state = flow.run(executor=executor, on_state=observe)
    assert read["while"] == 500
    assert state.result[last].result == list(range(0, 1000, 2))


@task
def link(data):
    """Wait until no other large values are on this worker."""
    from distributed import get_worker

    until = time.monotonic() + 30
    while True:
        with suppress(KeyError, RuntimeError):  # one goes in this moment
            if sum(isinstance(each, bytes) for each in dict(get_worker().data).values()) <= 1:
                break
        if time.monotonic() > until:
            raise TimeoutError("earlier values are still here")
        time.sleep(0.01)
    return data + b"."


def test_large_values_are_let_go_of_at_once(executor, monkeypatch):
    """A chain of them holds one on a worker, not as many as are made between two looks at the cluster."""
    monkeypatch.setattr(session, "LOOK", 300)
    with Flow("test") as flow:
        data = link(bytes(2 << 20))
        for _ in range(5):
            data = link(data)
    assert flow.run(executor=executor).is_successful()


def test_what_was_left_on_the_cluster_says_so(executor):
    """After the run a large value of a task in between is not to be had; the error names the fix."""
    with Flow("test") as flow:
        first = task(lambda: list(range(5000)), name="first")()
        last = length(first)
    state = flow.run(executor=executor)
    assert state.result[last].result == 5000
    with pytest.raises(ResultUnavailableError, match='results="all"'):
        state.result[first].result  # noqa: B018


def test_parameters_are_sent_once(executor):
    """A parameter that cannot be pickled twice serves many children."""

    class Once:
        pickled = 0

        def __reduce__(self):
            Once.pickled += 1
            return (list, (list(range(2000)),))

    class Add(Task):
        def run(self, x, xs):
            return x + len(xs)

    Once.__module__ = __name__
    with Flow("test") as flow:
        added = Add().map(list(range(40)), xs=unmapped(Parameter("xs", type=object)))
    state = flow.run(xs=Once(), executor=executor)
    assert state.result[added].result == [2000 + x for x in range(40)]
    assert Once.pickled <= 4  # once as a part of the context, too


def test_flows_within_tasks_wait_for_no_place(cluster, executor):
    """As many tasks as there are threads may run flows on the same cluster, and end."""

    @task
    def outer(address, n):
        @task
        def inner(x):
            return 2 * x

        with Flow("inner") as flow:
            doubled = inner.map([n, n + 1])
        return flow.run(executor=DaskExecutor(address)).result[doubled].result

    with Flow("test") as flow:
        results = outer.map(unmapped(cluster.scheduler_address), [1, 2, 3])
    state = flow.run(executor=executor)
    assert state.result[results].result == [[2, 4], [4, 6], [6, 8]]


def _random_flow(seed):  # one task of each kind
    """A flow of all kinds of tasks, triggers and maps, and where it has its values' lengths."""
    rng = random.Random(seed)

    @task
    def source(n, size):
        return [str(n) * 30] * size

    @task
    def combine(a, b):
        return (a if isinstance(a, list) else [a]) + (b if isinstance(b, list) else [b])

    @task(max_retries=1)
    def moody(a, mood):
        if mood == 0:
            raise ValueError("moody")
        if mood == 1:
            raise signals.SKIP("not today")
        if mood == 2:
            raise signals.SUCCESS("known", result=[7])
        return [a, mood]

    @task(skip_on_upstream_skip=False, trigger=triggers.all_finished)
    def tolerant(a):
        return [type(a).__name__]

    @task
    def each(x):
        return [x] * 3 if rng_size else x

    rng_size = rng.random() < 0.5
    kinds = [
        combine,
        lambda a, _: moody(a, rng.randrange(6)),
        lambda a, _: tolerant(a),
        lambda a, _: each.map(a),
        lambda a, b: combine([a, b], {"x": a}),
        lambda a, b: combine(a, (b, 1)),
    ]
    with Flow(f"random {seed}") as flow:
        tasks = [source(number, rng.choice([0, 1, 3, 40])) for number in range(3)]
        for _ in range(14):
            tasks.append(rng.choice(kinds)(rng.choice(tasks), rng.choice(tasks)))
    flow.set_reference_tasks(tasks)
    return flow, tasks


def _told(state):
    if state.is_mapped():
        return [_told(child) for child in state.map_states]
    result = state.result
    return type(state).__name__, state.message, repr(result) if state.is_failed() else result


@pytest.mark.parametrize("seed", range(8))
def test_random_flows_are_as_in_this_process(executor, seed):
    """Whatever the flow, each task's state and value are those of LocalExecutor."""
    flow, tasks = _random_flow(seed)
    local = flow.run(executor=LocalExecutor())
    there = flow.run(executor=executor)
    for each in tasks:
        assert _told(there.result[each]) == _told(local.result[each])

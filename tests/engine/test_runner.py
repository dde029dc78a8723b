"""Running flows."""

import logging
import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prefect
from prefect import Flow, Parameter, Task, task, triggers
from prefect.engine import signals
from prefect.engine.executors import (
    DaskExecutor,
    Executor,
    LocalExecutor,
    Session,
    ThreadExecutor,
)
from prefect.engine.job import run_job
from prefect.engine.state import Failed, Retrying, Skipped, Success
from prefect.errors import FlowError, ParameterError


@task
def inc(x):
    return x + 1


@task
def boom():
    raise ValueError("no")


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Failures are expected here."""
    caplog.set_level(logging.CRITICAL, logger="prefect")


def test_state_and_result(executor):
    """The state of a run maps each task to its state."""
    with Flow("test") as flow:
        x = Parameter("x")
        a = inc(x)
        b = inc(a)
    state = flow.run(x=1, executor=executor)
    assert type(state) is Success
    assert state.message == "All reference tasks succeeded."
    assert {t: s.result for t, s in state.result.items()} == {x: 1, a: 2, b: 3}
    assert list(state.result) == [x, a, b]


def test_empty_flow(executor):
    """A flow without tasks succeeds."""
    state = Flow("empty").run(executor=executor)
    assert state.is_successful()
    assert state.result == {}


def test_reference_tasks_decide():
    """The flow's state is decided by its reference tasks alone."""
    with Flow("test") as flow:
        good, bad = inc(1), boom()
    state = flow.run()
    assert (type(state), state.message) == (Failed, "Some reference tasks failed: boom.")
    flow.set_reference_tasks([good])
    state = flow.run()
    assert type(state) is Success
    assert type(state.result[bad]) is Failed


def test_failed_tasks_are_named_up_to_a_number():
    """The message of a failed flow names some failed tasks and counts the others."""
    with Flow("test") as flow:
        task(lambda x: 1 / 0, name="t").map(list(range(8)))
    message = flow.run().message
    assert message == "Some reference tasks failed: t[0], t[1], t[2], t[3], t[4] and 3 more."


def test_a_failure_that_is_dealt_with():
    """A flow succeeds if its last task deals with a failure before it."""
    with Flow("test") as flow:
        task(lambda: "cleaned up", trigger=triggers.any_failed)(upstream_tasks=[boom()])
    assert flow.run().is_successful()


def test_local_order_is_fixed():
    """In one thread tasks run depth first, in the order in which they were added."""
    order = []
    note = task(lambda name, after=None: order.append(name))
    with Flow("test") as flow:
        a, b = note("a"), note("b")
        note("a1", a)
        note("b1", b)
        note("ab", [a, b])
    flow.run()
    assert order == ["a", "a1", "b", "b1", "ab"]


def test_retries(executor):
    """A task that fails is tried again, as often as it says."""

    @task(max_retries=3, retry_delay=timedelta(milliseconds=1))
    def flaky():
        if prefect.context.task_run_count < 3:
            raise ValueError
        return prefect.context.task_run_count

    with Flow("test") as flow:
        t = flaky()
    assert flow.run(executor=executor).result[t].result == 3


def test_retries_come_to_an_end(executor):
    """A task that goes on failing has failed after its last try."""
    with Flow("test") as flow:
        t = boom.copy(max_retries=2).bind(flow=flow)
    events = []
    state = flow.run(executor=executor, on_state=events.append)
    assert type(state.result[t]) is Failed
    kinds = [type(e.state).__name__ for e in events]
    assert kinds == ["Running", "Retrying", "Running", "Retrying", "Running", "Failed"]


def test_waiting_retries_block_nothing(executor, tmp_path):
    """While one task waits to be tried again, others run; the retry comes by itself."""
    others = tmp_path / "others"

    @task(max_retries=10_000, retry_delay=0.05)
    def first():
        if not others.exists():
            raise ValueError

    with Flow("test") as flow:
        first()
        previous = None
        for _ in range(3):
            previous = task(lambda after: others.touch())(previous)
    assert flow.run(executor=executor).is_successful()


def test_retry_signal(executor):
    """RETRY tries again at its time, without max_retries."""
    tries = []

    @task
    def until_ready():
        tries.append(datetime.now(UTC))
        if len(tries) < 3:
            raise signals.RETRY("not yet", start_time=tries[-1] + timedelta(milliseconds=20))

    with Flow("test") as flow:
        until_ready()
    assert flow.run(executor=executor).is_successful()
    assert all(b - a >= timedelta(milliseconds=19) for a, b in pairwise(tries))


def test_context():
    """Tasks know the run they are part of, what was set around it, and what it was given."""
    with Flow("test") as flow:
        t = task(prefect.context.to_dict, name="me", slug="myself")()
        Parameter("p", default=1)()
    with prefect.context(outside=1, given=1):
        seen = flow.run(context={"given": 2}).result[t].result
        with pytest.raises(TypeError, match="a name in context is a str, not 1"):
            flow.run(context={1: 2})
    assert seen["flow_name"] == "test"
    assert (seen["task_name"], seen["task_slug"]) == ("me", "myself")
    assert (seen["outside"], seen["given"]) == (1, 2)
    assert seen["parameters"] == {"p": 1}
    assert seen["today"] == seen["date"].date().isoformat()
    assert seen["scheduled_start_time"].tzinfo is not None
    assert not prefect.context.to_dict()


def test_a_run_is_for_the_day_that_its_context_has():
    """A backfill is told its day by the context, that of the run or that around it."""
    with Flow("test") as flow:
        t = task(prefect.context.to_dict)()
    seen = flow.run(context={"today": "2020-02-29"}).result[t].result
    assert seen["today"] == "2020-02-29"
    assert seen["yesterday"] < seen["date"].date().isoformat() < seen["tomorrow"]
    assert len(seen["today_nodash"]) == 8
    with prefect.context(today="2020-02-29", scheduled_start_time=seen["date"]):
        within = flow.run().result[t].result
    assert (within["today"], within["scheduled_start_time"]) == ("2020-02-29", seen["date"])


def test_parameters_may_come_in_the_context():
    """A run takes them from its context where it is not given them itself, checked alike."""
    with Flow("test") as flow:
        t = inc(Parameter("x", default=1))
    assert flow.run(context={"parameters": {"x": 4}}).result[t].result == 5
    assert flow.run(x=6, context={"parameters": {"x": 4}}).result[t].result == 7
    with prefect.context(parameters={"x": 4}):
        assert flow.run().result[t].result == 5
    with pytest.raises(ParameterError, match="unknown"):
        flow.run(context={"parameters": {"unknown": 4}})


def test_a_flow_within_a_task_is_for_the_same_day_with_its_own_parameters():
    """What the outer run's context has of the calendar holds for the inner one; parameters do not."""
    with Flow("inner") as inner:
        seen = task(lambda x: (prefect.context.today, x))(Parameter("x", default=1))
    with Flow("outer") as outer:
        t = task(lambda x: inner.run().result[seen].result)(Parameter("x", default=2))
    assert outer.run(context={"today": "2020-02-29"}).result[t].result == ("2020-02-29", 1)


def test_a_flow_that_is_being_built_cannot_run():
    """Within its own block a flow has not got all its tasks: its run is an error."""
    with Flow("test") as flow:
        inc(1)
        with Flow("other"), pytest.raises(FlowError, match="after its `with` block"):
            flow.run()
    assert flow.run().is_successful()


def test_flows_within_tasks(executor):
    """A task may run another flow, also one that is being built outside."""
    with Flow("outer") as outer:
        with Flow("inner") as inner:
            b = inc(Parameter("x"))

        @task
        def run_inner(x):
            return inner.run(x=x).result[b].result, prefect.context.flow_name

        t = run_inner(1)
    state = outer.run(executor=executor)
    assert state.result[t].result == (2, "outer")


def test_tasks_cannot_be_called_within_tasks():
    """Calling a task while another runs is an error that says what to do, not a change of flow."""
    with Flow("test") as flow:
        t = task(lambda: inc(1))()
    state = flow.run().result[t]
    assert isinstance(state.result, FlowError)
    assert len(flow.tasks) == 1


def test_runs_do_not_change_the_flow():
    """A flow can be run again, with other parameters, with another executor."""
    with Flow("test") as flow:
        t = inc.map(Parameter("xs"))
    before = flow.serialize()
    assert flow.run(xs=[1]).result[t].result == [2]
    assert flow.run(xs=[1, 2], executor=ThreadExecutor(2)).result[t].result == [2, 3]
    assert flow.serialize() == before


@pytest.mark.parametrize("executor", [LocalExecutor, 3, object()])
def test_wrong_executors(executor):
    """What is not an executor is refused before anything runs."""
    with pytest.raises(TypeError, match="not an executor"):
        Flow("test").run(executor=executor)


def test_interrupts_end_the_run(executor):
    """An interrupt in a task ends the run, and leaves nothing behind."""
    ran = []

    @task
    def interrupted():
        raise KeyboardInterrupt

    with Flow("test") as flow:
        t = interrupted()
        task(lambda x: ran.append(1))(t)
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=executor)
    assert not ran
    assert not prefect.context.to_dict()
    assert inc.run(1) == 2


def test_errors_of_observers_end_the_run(executor):
    """An observer that raises ends the run: its error is not swallowed."""
    with Flow("test") as flow:
        inc(1)
    with pytest.raises(ZeroDivisionError):
        flow.run(executor=executor, on_state=lambda event: 1 / 0)


class Backwards(Executor):
    """Another executor: it works on everything at once, and is done with the last first."""

    def start(self):
        return BackwardsSession()


class BackwardsSession(Session):
    """Keeps jobs on a stack."""

    def __init__(self):
        self.jobs = []
        self.stopped = None

    def submit(self, token, job):
        self.jobs.append((token, job))

    def next_completed(self, timeout):
        if not self.jobs:
            time.sleep(min(timeout, 0.001))
            return None
        token, job = self.jobs.pop()
        return token, run_job(job)

    def stop(self, *, abandon):
        assert not abandon
        assert not self.jobs


def test_other_executors():
    """Executors are easy to write, and may complete jobs in any order."""
    with Flow("test") as flow:
        t = task(sum_up)([inc.map([1, 2, 3]), inc(4)])
    assert flow.run(executor=Backwards()).result[t].result == ([2, 3, 4], 5)


def sum_up(xs):
    return tuple(xs)


@st.composite
def dags(draw):
    count = draw(st.integers(1, 15))
    edges = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))))
    return count, [(a, b) for a, b in sorted(edges) if a < b]


@settings(deadline=None, max_examples=60)
@given(dags(), st.sampled_from([LocalExecutor(), ThreadExecutor(3), Backwards()]))
def test_random_graphs(dag, executor):
    """Every task runs exactly once, after all its upstream tasks have, whatever the executor."""
    count, edges = dag
    runs = Counter()
    lock = threading.Lock()
    early = []

    class Note(Task):
        def run(self):
            number = int(self.name)
            with lock:
                early.extend((a, b) for a, b in edges if b == number and not runs[a])
                runs[number] += 1

    tasks = [Note(name=str(number)) for number in range(count)]
    flow = Flow("test", tasks=tasks)
    for a, b in edges:
        flow.add_edge(tasks[a], tasks[b])
    assert flow.run(executor=executor).is_successful()
    assert runs == dict.fromkeys(range(count), 1)
    assert not early


@settings(deadline=None, max_examples=60)
@given(dags(), st.data())
def test_random_failures(dag, data):
    """A task runs if all upstream tasks succeeded, is skipped after skips, and otherwise not run."""
    count, edges = dag
    outcomes = data.draw(st.lists(st.sampled_from("sfk"), min_size=count, max_size=count))

    def act(outcome):
        if outcome == "f":
            raise ValueError
        if outcome == "k":
            raise signals.SKIP

    with Flow("test") as flow:
        tasks = [task(act)(outcome) for outcome in outcomes]
        flow_edges = [flow.add_edge(tasks[a], tasks[b]) for a, b in edges]
    result = flow.run().result
    for number, t in enumerate(tasks):
        before = [result[e.upstream_task] for e in flow_edges if e.downstream_task is t]
        state = result[t]
        if any(s.is_skipped() for s in before):
            assert type(state) is Skipped
        elif any(s.is_failed() for s in before):
            assert type(state).__name__ == "TriggerFailed"
        else:
            assert type(state) is {"s": Success, "f": Failed, "k": Skipped}[outcomes[number]]


def test_deep_flows(executor):
    """A chain of 5,000 tasks runs without recursing; a shorter one on a cluster, where each link takes long."""
    length = 200 if isinstance(executor, DaskExecutor) else 5000
    with Flow("test") as flow:
        x = 0
        for _ in range(length):
            x = inc(x)
    assert flow.run(executor=executor).result[x].result == length


def test_retrying_state_has_the_reason():
    """While a task waits to be tried again its state says what went wrong, and when it goes on."""
    with Flow("test") as flow:
        boom.copy(max_retries=1).bind(flow=flow)
    events = []
    flow.run(on_state=events.append)
    (state,) = [e.state for e in events if isinstance(e.state, Retrying)]
    assert isinstance(state.result, ValueError)
    assert state.message == "ValueError: no (try 1 of 2)"


def test_a_task_that_misses_a_variable_is_told_how_secrets_are_named(monkeypatch):
    """Of os.environ alone: a dict of the task's own is its own matter."""
    monkeypatch.delenv("DB_TOKEN", raising=False)
    for space, hint in (os.environ, True), ({}, False):
        with Flow("etl") as flow:
            read = task(lambda space=space: space["DB_TOKEN"])()
        message = flow.run().result[read].message
        assert message.startswith("KeyError: 'DB_TOKEN'")
        assert ("--secret DB_TOKEN, or secrets=['DB_TOKEN']" in message) == hint

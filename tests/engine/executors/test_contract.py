"""What holds on every executor: random flows come to what simple rules say, each try counted."""

import logging
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType

import cloudpickle
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_flows import described, expected, graphs
from random_work import flow_of

from prefect import Flow, context, task
from prefect.engine.executors import LocalExecutor, ThreadExecutor
from prefect.engine.state import Failed, TimedOut, TriggerFailed

# Where a run takes long to begin, there are fewer, of more tasks.
EXAMPLES = {"local": (40, 12), "threads": (30, 12), "processes": (5, 25), "dask": (10, 25)}


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Failures are expected here."""
    caplog.set_level(logging.CRITICAL, logger="prefect")


def check(pieces, outcomes, state, tasks, path, *, values, limit):
    """Compare a run with what is expected of it."""
    tries = Counter()
    for number, outcome in enumerate(outcomes):
        found = state.result[tasks[number]]
        assert type(found).__name__ == outcome.kind, (number, found.message)
        if outcome.children is not None:
            kinds = [type(each).__name__ for each in found.map_states]
            assert kinds == [each.kind for each in outcome.children], number
            for index, child in enumerate(outcome.children):
                tries.update((number, index, attempt) for attempt in child.tries)
        tries.update((number, -1, attempt) for attempt in outcome.tries)
        if values(number):
            assert described(found.result) == described(outcome.value), number
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    began = Counter(tuple(map(int, words[1:])) for words in lines if words[0] == "begin")
    assert began == tries
    running = 0
    for what, number, *_ in lines:
        if pieces[int(number)].is_limited:
            running += 1 if what == "begin" else -1
            assert limit is None or running <= limit


def test_random_flows(executor, request):
    """States, results and the number of tries are what a few rules say.

    Of failures, skips, retries, signals, loops, timeouts, triggers, maps over maps, limits by tag, flows within
    tasks, async tasks and generators.
    """
    kind = request.node.callspec.params["executor"]
    examples, tasks_at_most = EXAMPLES[kind]
    takes_long = {Phase.shrink, Phase.explain} if kind in {"processes", "dask"} else set()

    @settings(
        max_examples=examples,
        phases=set(Phase) - takes_long,
        suppress_health_check=list(HealthCheck),
    )
    @given(graphs(tasks_at_most), st.booleans(), st.sampled_from([None, 1, 2]))
    def runs_as_expected(pieces, keep_all, limit):
        outcomes = expected(pieces)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "tries")
            flow, tasks = flow_of(pieces, path)
            final = set(flow.terminal_tasks())
            state = flow.run(
                executor=executor,
                results="all" if keep_all else "reference",
                limits=None if limit is None else {"limited": limit},
            )
            check(
                pieces, outcomes, state, tasks, path, limit=limit,
                values=lambda number: keep_all or tasks[number] in final,
            )  # fmt: skip

    runs_as_expected()


def shares_memory(executor):
    """Whether tasks have the objects of this process, rather than copies."""
    return isinstance(executor, LocalExecutor | ThreadExecutor)


def test_generators_are_lists(executor):
    """What a task yields is made within the try, which may fail at any item and is tried again."""

    @task(max_retries=1)
    def yields():
        yield 1
        if context.task_run_count == 1:
            raise ValueError("the second item")
        yield 2

    @task
    async def returns():
        return (item for item in "ab")

    @task(timeout=0.1)
    def endless():
        while True:
            yield 0

    with Flow("test") as flow:
        a, b, c = yields(), returns(), endless()
        each = task(lambda x: x * 10, name="each").map(a)
    result = flow.run(executor=executor).result
    assert (result[a].result, result[b].result) == ([1, 2], ["a", "b"])
    assert result[each].result == [10, 20]
    assert type(result[c]) is TimedOut


def test_what_cannot_be_pickled(executor):
    """It goes from task to task where these share memory; elsewhere what makes or takes it has failed."""

    @task
    def makes():
        return threading.Lock()

    @task
    def takes(lock):
        return type(lock).__name__

    given = threading.Lock()
    with Flow("test") as flow:
        made = makes()
        after, with_constant = takes(made), takes(given)
    result = flow.run(executor=executor).result
    if shares_memory(executor):
        assert (result[after].result, result[with_constant].result) == ("lock", "lock")
        return
    found = [type(result[t]) for t in (made, after, with_constant)]
    assert found == [Failed, TriggerFailed, Failed]
    assert "the task's result cannot be pickled" in result[made].message
    assert "the task or its inputs cannot be pickled" in result[with_constant].message


def test_inputs_that_a_task_changes(executor):
    """What a task changes in what it was given stays with it where memory is not shared.

    Nowhere does it come to what a task gets that has run before it.
    """

    @task
    def make():
        return [1]

    @task
    def change(values):
        seen = list(values)
        values.append(2)
        return seen

    given = [1]
    with Flow("test") as flow:
        made = make()
        first = change(made)
        second = change(made, upstream_tasks=[first])
        constant = change(given)
    result = flow.run(executor=executor, results="all").result
    assert result[first].result == result[constant].result == [1]
    if shares_memory(executor):
        assert result[second].result == [1, 2]
    else:
        assert (result[second].result, result[made].result, given) == ([1], [1], [1])


def test_waits_are_ended_by_timeouts(executor):
    """A try that waits is TimedOut, and tried again; what follows goes on meanwhile."""

    @task(timeout=0.2, max_retries=1)
    def waits():
        if context.task_run_count == 1:
            time.sleep(0.4)
            threading.Event().wait(60)
        return context.task_run_count

    with Flow("test") as flow:
        waited = waits()
    assert flow.run(executor=executor).result[waited].result == 2


def test_what_an_exception_came_from(executor):
    """Its cause, its context, its notes and those of a group are there, however it came here."""

    class LockedError(Exception):
        def __reduce__(self):
            raise TypeError("not to be pickled")

    @task
    def causes():
        try:
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("the value") from error
        except ValueError as error:
            error.add_note("a note")
            raise RuntimeError("the last")  # noqa: B904  # its context is what is meant

    @task
    def hides():
        try:
            {}["key"]
        except KeyError:
            raise ValueError("alone") from None

    @task
    def groups():
        inner = ValueError("inner")
        inner.__cause__ = KeyError("its cause")
        raise ExceptionGroup("several", [inner])

    @task
    def cannot_be_sent():
        raise ValueError("its cause stays there") from LockedError()

    with Flow("test") as flow:
        tasks = causes(), hides(), groups(), cannot_be_sent()
    state = flow.run(executor=executor)
    last, alone, group, locked = (state.result[each].result for each in tasks)
    context = last.__context__
    assert (repr(last), repr(context)) == ("RuntimeError('the last')", "ValueError('the value')")
    assert context.__notes__ == ["a note"]
    assert repr(context.__cause__) == "KeyError('key')"
    assert context.__suppress_context__
    assert (repr(alone), alone.__cause__) == ("ValueError('alone')", None)
    assert alone.__suppress_context__
    assert repr(group.exceptions[0].__cause__) == "KeyError('its cause')"
    assert repr(locked) == "ValueError('its cause stays there')"
    assert "its cause stays there" in state.result[tasks[3]].traceback
    assert not any(
        "prefect" in name for each in (last, context, alone, group) for name in vars(each)
    )


def test_tracebacks_name_files(executor, monkeypatch, caplog):
    """A retry and a failure are logged with file and line, also where cloudpickle takes a function's file from it."""
    reduced = cloudpickle.Pickler.dispatch_table[CodeType]

    def nameless(code):  # as cloudpickle 3.1.3 does
        make, args = reduced(code)
        return make, tuple("<dynamic-code>" if arg == code.co_filename else arg for arg in args)

    monkeypatch.setitem(cloudpickle.Pickler.dispatch_table.maps[0], CodeType, nameless)
    caplog.set_level(logging.WARNING, logger="prefect")

    @task(max_retries=1, state_handlers=[lambda *_: None])
    def boom():
        raise ValueError("no")

    with Flow("test") as flow:
        boom()
    flow.run(executor=executor)
    told = [r for r in caplog.records if "task 'boom'" in r.getMessage()]
    assert [r.levelname for r in told] == ["WARNING", "ERROR"]
    assert not any(each.getMessage().endswith("\n") for each in told)
    assert caplog.text.count(f'File "{__file__}"') == 2

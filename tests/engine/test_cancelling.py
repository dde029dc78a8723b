"""Runs that end before their tasks have."""

import _thread
import asyncio
import logging
import threading
import time

import pytest

from prefect import Flow, Parameter, task
from prefect.engine.executors import LocalExecutor, ThreadExecutor
from prefect.engine.state import Cancelled, Mapped, Success, TimedOut
from prefect.records.reading import read_record
from prefect.records.summary import counts_of

SHORT, LONG = 0.2, 60


@pytest.fixture(params=["local", "threads:2"])
def executor(request):
    """Each executor that runs tasks in this process."""
    return request.param


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Ends are expected here."""
    caplog.set_level(logging.CRITICAL, logger="prefect")


def spin():
    while True:
        time.sleep(0)


def in_other_thread(call):
    """Do the same where signals do not reach."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join(LONG)
    return found[0]


def at_once(call):
    """Do it in the main thread."""
    return call()


@pytest.mark.parametrize("where", [at_once, in_other_thread])
def test_a_run_that_takes_too_long(executor, where):
    """It is Cancelled: what has finished is there, what runs is interrupted, the rest does not start."""
    seen, events, ended = [], [], threading.Event()

    def note(thing, old, new):
        seen.append((thing.name, type(old).__name__, type(new).__name__))

    def endless(x):
        try:
            spin()
        finally:
            ended.set()

    with Flow("test", state_handlers=[note]) as flow:
        done = task(lambda: 3, name="done")()
        running = task(endless, name="running", state_handlers=[note])(done)
        after = task(lambda x: x, name="after", state_handlers=[note])(running)
    state = where(lambda: flow.run(executor=executor, timeout=SHORT, on_state=events.append))
    assert type(state) is Cancelled
    assert state.message == (
        "The run took longer than 0.2 seconds: 1 task had finished, 1 was running and 1 had not started."
    )
    assert [type(state.result[t]) for t in (done, running, after)] == [
        Success,
        Cancelled,
        Cancelled,
    ]
    assert state.result[done].result == 3
    assert ended.wait(LONG)
    assert ("running", "Running", "Cancelled") in seen
    assert ("after", "Pending", "Cancelled") in seen
    assert seen[-1] == ("test", "Running", "Cancelled")
    assert [e.task_name for e in events if type(e.state) is Cancelled] == ["running", "after"]


def test_a_run_in_time(executor):
    """A run that is done in time is as any other."""
    with Flow("test") as flow:
        t = task(lambda x: x + 1).map([1, 2])
    state = flow.run(executor=executor, timeout=LONG)
    assert state.is_successful()
    assert state.result[t].result == [2, 3]


def test_children_and_retries_are_dropped(executor):
    """Children of a mapped task are Cancelled one by one, and nothing waits for a retry."""

    def first_alone(x):
        if x:
            spin()
        return x

    def fail():
        raise ValueError

    with Flow("test") as flow:
        retried = task(fail, max_retries=1, retry_delay=3600)()
        many = task(first_alone).map([0, 1, 1, 1])
        task(lambda xs: xs)(many)
    state = flow.run(executor=executor, timeout=SHORT)
    assert type(state.result[many]) is Mapped
    assert [type(s) for s in state.result[many].map_states] == [Success, *[Cancelled] * 3]
    assert type(state.result[retried]) is Cancelled


def test_tries_with_a_timeout_are_interrupted_too():
    """Also what runs in a helper thread for the sake of its timeout ends with the run."""
    threads = []

    def endless():
        threads.append(threading.current_thread())
        spin()

    with Flow("test") as flow:
        t = task(endless, timeout=10 * LONG)()
    state = flow.run(executor=ThreadExecutor(1), timeout=SHORT)
    assert type(state.result[t]) is Cancelled
    threads[0].join(LONG)
    assert not threads[0].is_alive()


def test_a_timeout_of_a_task_is_its_own():
    """A task that takes too long for itself has timed out, and the run goes on."""
    with Flow("test") as flow:
        t = task(spin, timeout=SHORT)()
    assert type(flow.run(timeout=LONG).result[t]) is TimedOut


@pytest.mark.parametrize("inner_executor", ["local", "threads:1"])
def test_flows_within_tasks_end_as_well(executor, inner_executor):
    """A run within a task is cancelled with the outer one, and nothing waits for the other."""
    inner_states, ended = [], threading.Event()

    def note(flow, old, new):
        inner_states.append(type(new).__name__)

    def endless():
        try:
            spin()
        finally:
            ended.set()

    with Flow("inner", state_handlers=[note]) as inner:
        task(endless)()
    with Flow("outer") as outer:
        task(lambda: inner.run(executor=inner_executor))()
    state = outer.run(executor=executor, timeout=SHORT)
    assert type(state) is Cancelled
    assert ended.wait(LONG)
    for _ in range(1000):
        if inner_states[-1] == "Cancelled":
            break
        time.sleep(0.01)
    assert inner_states == ["Running", "Cancelled"]


def test_an_interrupt_tells_what_there_is():
    """Ctrl-C in a script raises KeyboardInterrupt after handlers were called; it has the state."""
    seen = []

    def interrupted():
        raise KeyboardInterrupt

    def note(thing, old, new):
        seen.append((thing.name, type(new).__name__))

    with Flow("test", state_handlers=[note]) as flow:
        done = task(lambda: 3)()
        last = task(lambda x: interrupted(), name="last", state_handlers=[note])(done)
    with pytest.raises(KeyboardInterrupt) as caught:
        flow.run()
    state = caught.value.state
    assert type(state) is Cancelled
    assert state.message.startswith("The run was interrupted: 1 task had finished, 1 was running")
    assert state.result[done].result == 3
    assert type(state.result[last]) is Cancelled
    assert seen == [
        ("test", "Running"), ("last", "Running"), ("last", "Cancelled"), ("test", "Cancelled"),
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["local", "threads:2", "processes:1"])
def test_a_signal_that_came_just_before_a_wait(where, tmp_path):
    """It ends the run, too, though it does not end the wait: Python knows of it, and looks between waits."""
    begun = tmp_path / "begun"

    async def wait_long():
        begun.touch()
        await asyncio.sleep(LONG)

    def interrupt():
        while not begun.exists():
            time.sleep(0.01)
        time.sleep(SHORT)
        _thread.interrupt_main()

    with Flow("test") as flow:
        task(wait_long)()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt) as caught:
        flow.run(executor=where)
    assert type(caught.value.state) is Cancelled


def test_a_cancelled_flow_can_run_again():
    """Nothing of a run that was cancelled is left in the flow or its executor."""
    executor = ThreadExecutor(1)
    ready = threading.Event()
    with Flow("test") as flow:
        t = task(lambda: ready.is_set() or spin())()
    assert type(flow.run(executor=executor, timeout=SHORT)) is Cancelled
    ready.set()
    assert flow.run(executor=executor, timeout=LONG).result[t].result is True


def test_parameters_named_timeout_are_told_apart():
    """A flow with such a parameter gets it in `parameters`, and never silently as the run's."""
    with Flow("test") as flow:
        t = task(lambda x: x)(Parameter("timeout"))
    with pytest.raises(TypeError, match=r'parameters=\{"timeout": ...\}'):
        flow.run(timeout=3)
    assert flow.run(parameters={"timeout": 3}, executor=LocalExecutor()).result[t].result == 3


def test_what_its_executor_takes_to_be_there_counts():
    """A run's time begins with the run: where making a cluster takes all of it, no task begins."""
    began = []

    class Slow(LocalExecutor):
        def start(self):
            time.sleep(SHORT)
            return super().start()

    with Flow("test") as flow:
        late = task(lambda: began.append(1), name="late")()
    state = flow.run(executor=Slow(), timeout=SHORT / 2)
    assert type(state) is type(state.result[late]) is Cancelled
    assert not began


def test_what_had_finished_is_counted_as_records_count_it(tmp_path):
    """Neither parameters nor what flows add by themselves count, unless they failed; children count one by one."""

    def interrupted(xs):
        raise KeyboardInterrupt

    with Flow("test") as flow:
        done = task(lambda x: x, name="done").map([Parameter("a", default=1), 2, 3])
        last = task(interrupted, name="last")([done, Parameter("b", default=1)])
        task(lambda x: x, name="after")({"x": last})
    with pytest.raises(KeyboardInterrupt) as caught:
        flow.run(store=tmp_path)
    assert caught.value.state.message == (
        "The run was interrupted: 3 tasks had finished, 1 was running and 1 had not started."
    )
    (record,) = (tmp_path / "runs").glob("*.jsonl")
    assert counts_of(read_record(record)) == {"Success": 3, "Cancelled": 2}

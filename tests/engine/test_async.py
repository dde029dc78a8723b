"""Async tasks, and flows in event loops."""

import asyncio
import functools
import gc
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from distributed import LocalCluster

from prefect import Flow, Task, context, task
from prefect.engine import signals
from prefect.engine.executors import DaskExecutor, LocalExecutor, ProcessExecutor, ThreadExecutor
from prefect.engine.state import Cancelled, Failed, Skipped, Success, TimedOut
from prefect.errors import FlowError

LONG = 60


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Failures are expected here."""
    caplog.set_level(logging.CRITICAL, logger="prefect")


@task
async def double(x):
    await asyncio.sleep(0)
    return 2 * x


def test_async_tasks(executor):
    """A task may be an async function, or have an async run, and stand between others."""

    class Triple(Task):
        async def run(self, x):
            return 3 * x

    def add_up(xs):
        return sum(xs)

    with Flow("test") as flow:
        many = double.map([1, 2, 3])
        total = task(add_up)(many)
        last = Triple()(total)
    state = flow.run(executor=executor)
    assert state.result[many].result == [2, 4, 6]
    assert state.result[last].result == 36


@pytest.mark.parametrize("where", ["local", "threads:1"])
def test_they_wait_at_the_same_time(where):
    """Async tasks run together on one event loop, however few workers there are, plain ones meanwhile."""
    everybody, threads = [], set()
    plain_ran = threading.Event()

    @task
    async def meet(x):
        threads.add(threading.get_ident())
        everybody.append(x)
        while len(everybody) < 50 or not plain_ran.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        return x

    with Flow("test") as flow:
        task(plain_ran.set)()
        many = meet.map(list(range(50)))
    state = flow.run(executor=where, timeout=LONG)
    assert state.result[many].result == list(range(50))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def met(many, asked, group=500):
    """Return an async task that ends when so many of its kind have begun in its process."""
    begun = []

    async def meet(x):
        begun.append(x)
        while len(begun) < min(many, group):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return x, os.getpid(), threading.get_ident()

    return task(meet, **asked)


@pytest.fixture
def elsewhere(request):
    """An executor whose tasks run in other processes, one at a time."""
    if request.param == "processes":
        yield ProcessExecutor(1)
        return
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield DaskExecutor(cluster.scheduler_address)


@pytest.mark.parametrize("elsewhere", ["processes", "dask"], indirect=True)
@pytest.mark.parametrize("settings", [{}, {"timeout": LONG, "log_stdout": True}], ids=["", "more"])
def test_they_wait_at_the_same_time_in_other_processes(elsewhere, settings):
    """Hundreds wait on one event loop of a process that does one plain task at a time, beside those."""
    with Flow("test") as flow:
        many = met(500, settings).map(list(range(500)))
        plain = task(lambda x: (os.getpid(), threading.get_ident()), name="plain").map([1, 2, 3])
    state = flow.run(executor=elsewhere, timeout=2 * LONG)
    numbers, *where = zip(*state.result[many].result, strict=True)
    assert numbers == tuple(range(500))
    assert [len(set(each)) for each in where] == [1, 1]
    assert {process for process, _ in state.result[plain].result} == set(where[0])
    assert os.getpid() not in where[0]


@pytest.mark.parametrize("elsewhere", ["processes", "dask"], indirect=True)
def test_they_begin_in_other_processes_beside_plain_tasks(elsewhere, tmp_path):
    """A plain task that takes long does not keep them waiting."""
    begun, write = tmp_path / "begun", lambda path, text: Path(path).write_text(text)

    @task
    async def begin(path):
        write(path, "")

    @task
    def wait_for(path):
        until = time.monotonic() + LONG
        while not Path(path).exists() and time.monotonic() < until:
            time.sleep(0.01)
        return Path(path).exists()

    with Flow("test") as flow:
        begin(str(begun))
        waited = wait_for(str(begun))
    assert flow.run(executor=elsewhere).result[waited].result is True


@pytest.mark.parametrize("elsewhere", ["processes", "dask"], indirect=True)
def test_they_are_cancelled_in_other_processes(elsewhere, tmp_path):
    """When the run ends early, what awaits there is cancelled, and has time for its end."""
    files = [str(tmp_path / str(number)) for number in range(20)]
    write = lambda path, text: Path(path).write_text(text)  # noqa: E731  # known by value
    begun = lambda: all(Path(file).exists() for file in files)  # noqa: E731  # the same

    @task
    async def wait(path):
        try:
            write(path, "begun")
            await asyncio.sleep(LONG)
        finally:
            write(path, "ended")

    @task
    async def all_begun():
        while not begun():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def interrupt(event):
        if event.task_name == "all_begun" and event.state.is_successful():
            raise KeyboardInterrupt

    with Flow("test") as flow:
        many = wait.map(files)
        all_begun()
    with pytest.raises(KeyboardInterrupt) as caught:
        flow.run(executor=elsewhere, on_state=interrupt, timeout=2 * LONG)
    state = caught.value.state
    assert {type(each) for each in state.result[many].map_states} == {Cancelled}
    assert {Path(file).read_text() for file in files} == {"ended"}


@pytest.mark.parametrize("elsewhere", ["processes"], indirect=True)
def test_they_fail_with_their_process(elsewhere):
    """All that a process awaits is lost when it dies, and tried again if it may be."""

    @task(max_retries=1)
    async def waits(x):
        if context.task_run_count == 1:
            await asyncio.sleep(LONG)
        return x

    @task
    async def kills():
        await asyncio.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    with Flow("test") as flow:
        many, killed = waits.map([1, 2, 3]), kills()
    state = flow.run(executor=elsewhere, timeout=2 * LONG)
    assert state.result[many].result == [1, 2, 3]
    assert "the worker process was ended by SIGKILL" in state.result[killed].message


@pytest.mark.parametrize("where", ["local", "threads:1"])
def test_a_plain_task_that_waits_for_an_async_one(where):
    """An async task begins at once, also where a plain one runs long after it."""
    began = threading.Event()

    @task
    async def begin():
        began.set()

    with Flow("test") as flow:
        begin()
        waited = task(lambda: began.wait(LONG))()
    assert flow.run(executor=where).result[waited].result is True


@pytest.mark.parametrize("where", ["local", "threads:2"])
def test_thousands_of_them_between_plain_ones(where):
    """However many there are, each comes to its own end, and what needs one gets it."""

    @task
    async def wait(number):
        await asyncio.sleep(0.01 * (number % 3))
        if number % 7 == 0:
            raise ValueError(number)
        return number

    @task
    def double(number):
        return 2 * number

    with Flow("many") as flow:
        waits = [wait(number) for number in range(1000)]
        doubles = [double(each) for each in waits[::2]]
        flow.set_reference_tasks(doubles[1:2])
    state = flow.run(executor=where)
    for number, each in enumerate(waits):
        assert state.result[each].is_failed() == (number % 7 == 0)
    for number, each in enumerate(doubles):
        found = state.result[each]
        assert found.is_failed() if 2 * number % 7 == 0 else found.result == 4 * number


@pytest.mark.parametrize("where", ["local", "threads:2"])
def test_they_may_end_at_once(where):
    """What has ended before the run has gone on to the next is awaited no longer."""

    @task
    async def number(x):
        return x

    with Flow("many") as flow:
        numbers = [number(x) for x in range(1000)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # the loop's thread is to be ahead of the run's, now and then
    try:
        for _ in range(30):
            state = flow.run(executor=where, timeout=LONG)
            assert [state.result[each].result for each in numbers] == list(range(1000))
    finally:
        sys.setswitchinterval(interval)


def test_what_tasks_know_holds_for_async_ones(executor):
    """Context, signals, failures, timeouts, retries and handlers are as for others."""
    kinds = []

    def note(of, old, new):
        kinds.append(type(new).__name__)

    @task
    async def index(x):
        await asyncio.sleep(0)
        return context.map_index, context.task_name

    @task
    async def skip():
        raise signals.SKIP("no need")

    @task
    async def fail():
        raise TimeoutError("its own")

    @task(timeout=0.05)
    async def slow():
        await asyncio.sleep(LONG)

    @task(max_retries=1)
    async def flaky():
        if context.task_run_count == 1:
            raise ValueError
        return "at last"

    with Flow("test") as flow:
        names = index.map([1, 2])
        skipped, failed, timed_out, retried = skip(), fail(), slow(), flaky()
        handled = double.copy(state_handlers=[note]).bind(1, flow=flow)
    result = flow.run(executor=executor).result
    assert result[names].result == [(0, "index"), (1, "index")]
    found = [type(result[t]) for t in (skipped, failed, timed_out, retried, handled)]
    assert found == [Skipped, Failed, TimedOut, Success, Success]
    assert result[failed].message == "TimeoutError: its own"
    if isinstance(executor, LocalExecutor | ThreadExecutor):
        assert kinds == ["Running", "Success"]


def test_output_of_async_tasks():
    """What an async task prints goes to its logger, apart from what others print at the same time."""
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.name, record.getMessage()))
    logger = logging.getLogger("prefect.task")
    logger.addHandler(handler)
    logging.getLogger("prefect").setLevel(logging.INFO)

    @task(log_stdout=True)
    async def say(x):
        print("before", x)
        await asyncio.sleep(0.01)
        print("after", x)

    try:
        with Flow("test") as flow:
            for name in "ab":
                say(name, task_args={"name": name})
        assert flow.run().is_successful()
    finally:
        logger.removeHandler(handler)
        logging.getLogger("prefect").setLevel(logging.NOTSET)
    assert sorted(lines) == [
        (f"prefect.task.{name}", f"{when} {name}") for name in "ab" for when in ("after", "before")
    ]


def test_partials_and_wrapped_functions(executor):
    """What returns a coroutine is awaited, however it is written."""

    async def add(x, y):
        return x + y

    def wrapped(x):
        return add(x, 1)

    with Flow("test") as flow:
        a = task(functools.partial(add, y=5), name="a")(1)
        b = task(wrapped)(1)
    result = flow.run(executor="threads:2").result
    assert (result[a].result, result[b].result) == (6, 2)


def test_async_generators_are_refused():
    """There is no value to pass on: the error says so when the task is made."""
    with pytest.raises(FlowError, match="async generator; return a list"):

        @task
        async def numbers():
            yield 1


@pytest.mark.parametrize("where", ["local", "threads:1"])
def test_cancelled_runs_cancel_them(where):
    """What an async task does at its end is done, before the run returns."""
    ended = []

    @task
    async def endless(x):
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.append(1)

    with Flow("test") as flow:
        t = endless.map([1, 2])
    state = flow.run(executor=where, timeout=0.2)
    assert type(state) is Cancelled
    assert [type(s) for s in state.result[t].map_states] == [Cancelled] * 2
    assert ended == [1, 1]


@pytest.mark.parametrize("where", ["local", "threads:1"])
def test_what_was_not_begun_is_not_warned_of(where, recwarn):
    """Where a run ends before its async tasks have begun, Python does not warn that they were never awaited."""

    @task
    async def one():
        return 1

    def end(event):
        if event.task_name == "end":
            raise KeyboardInterrupt

    with Flow("test") as flow:
        for _ in range(300):
            one()
        task(lambda: 1, name="end")()
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=where, on_state=end)
    gc.collect()
    assert not [str(each.message) for each in recwarn if "awaited" in str(each.message)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_run_from_within(error):
    """An interrupt in an async task ends the run; an exit is its failure, as of other tasks."""

    @task
    async def stop():
        raise error

    with Flow("test") as flow:
        t = stop()
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            flow.run()
    else:
        assert type(flow.run().result[t]) is Failed


def test_run_within_an_event_loop():
    """In a notebook, where a loop runs, flow.run is called as everywhere."""
    with Flow("test") as flow:
        t = double(21)

    async def cell():
        return flow.run()

    assert asyncio.run(cell()).result[t].result == 42


def test_arun(executor):
    """`await flow.arun()` lets others use the event loop meanwhile, and takes what run takes."""
    others = threading.Event()
    with Flow("test") as flow:
        t = (
            task(lambda: others.wait(LONG), name="waits")()
            if isinstance(executor, LocalExecutor | ThreadExecutor)
            else double(1)
        )

    async def main():
        async def other():
            others.set()

        with context(here=1):
            state, _ = await asyncio.gather(
                flow.arun(executor=executor, on_state=lambda event: None), other()
            )
        return state

    assert asyncio.run(main()).result[t].result in {True, 2}


def test_errors_of_arun_are_raised():
    """What run raises arun raises."""
    with pytest.raises(ValueError, match="results="):
        asyncio.run(Flow("test").arun(results="x"))


def test_cancelling_arun_cancels_the_run():
    """When nobody awaits it any more, its tasks are interrupted."""
    began, ended = threading.Event(), threading.Event()

    def spin():
        began.set()
        try:
            while True:
                pass
        finally:
            ended.set()

    seen = []
    with Flow("test", state_handlers=[lambda f, old, new: seen.append(type(new).__name__)]) as flow:
        task(spin)()

    async def main():
        running = asyncio.create_task(flow.arun())
        while not began.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert ended.wait(LONG)
    for thread in threading.enumerate():
        if thread.name == "prefect-run":
            thread.join(LONG)
    assert seen == ["Running", "Cancelled"]

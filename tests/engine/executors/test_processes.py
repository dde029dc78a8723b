"""ProcessExecutor."""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory

import cloudpickle
import numpy as np
import pytest
from processes import await_end, runs

from prefect import Flow, Parameter, Task, context, task, unmapped
from prefect.engine.executors import ProcessExecutor, process_handle, processes
from prefect.engine.executors.process_handle import WorkerProcess
from prefect.engine.signals import LOOP
from prefect.engine.state import Cancelled, Failed, Success, TimedOut
from prefect.errors import RemoteTaskError
from prefect.secrets.masking import masked
from prefect.tasks.secrets import SecretBase
from prefect.triggers import all_finished


@pytest.fixture(autouse=True, scope="module")
def _by_value():
    """Have the functions here travel: processes cannot import what pytest imports by a file's path."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@task
def pid(after=None):
    return os.getpid()


def results_of(flow, executor=None, **parameters):
    state = flow.run(executor=executor or ProcessExecutor(2), **parameters)
    return {each.name: state.result[each] for each in flow.tasks}


def until(path):
    """Wait for a file that somebody else makes."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_tasks_run_at_the_same_time(tmp_path):
    """As many tasks run at a time, each in a process of its own, as there are workers."""

    @task
    def meet(x):
        (tmp_path / f"{x}").touch()
        until(tmp_path / f"{1 - x}")
        return os.getpid()

    with Flow("test") as flow:
        meet.map([0, 1])
    first, second = results_of(flow)["meet"].result
    assert len({first, second, os.getpid()}) == 3


def test_processes_start_as_they_are_needed_and_end_with_the_run():
    """A chain of tasks needs one process, however many there may be; none is left."""
    with Flow("test") as flow:
        last = None
        for _ in range(4):
            last = pid(last)
    state = flow.run(executor=ProcessExecutor(8))
    (one,) = {each.result for each in state.result.values()}
    assert one != os.getpid()
    assert not runs(one)


def test_what_tasks_know():
    """Parameters, context, classes and functions of this script are known there."""

    class Local(Task):
        def run(self, x):
            return x, context.map_index, context.flow_name, context.parameters["xs"], sys.argv

    with Flow("test") as flow:
        Local(name="local").map(Parameter("xs"))
    got = results_of(flow, xs=[5, 6])["local"].result
    assert got == [(5, 0, "test", [5, 6], sys.argv), (6, 1, "test", [5, 6], sys.argv)]


def test_a_task_is_pickled_once():
    """However many children it has."""
    pickled = []

    class Counted(Task):
        def __getstate__(self):
            pickled.append(1)
            return self.__dict__

        def run(self, x):
            return x

    with Flow("test") as flow:
        Counted(name="counted").map(list(range(20)))
    pickled.clear()  # a task is copied, too, where it is called
    assert results_of(flow)["counted"].result == list(range(20))
    assert len(pickled) == 1


def test_large_values():
    """Arrays go there and back; a task may change those that it gets, and nobody else sees it."""
    ones = np.ones(1_000_000)

    @task
    def change(x):
        x[0] = 5
        return x

    with Flow("test") as flow:
        change(Parameter("x"))
    changed = results_of(flow, x=ones)["change"].result
    assert (changed[0], changed[1:].sum()) == (5, 999_999)
    assert ones[0] == 1
    changed[1] = 7


def test_a_large_value_is_loaded_where_it_is_used():
    """It goes from task to task as it is, once and not for each child, and comes here if it is read."""

    class Noted:
        def __init__(self, ballast):
            self.ballast = ballast

        def __getstate__(self):
            return self.ballast, os.getpid()

        def __setstate__(self, state):
            self.ballast, self.pickled_in = state
            self.loaded_in = os.getpid()

    @task
    def make():
        return Noted(b"x" * 1_000_000), os.getpid()

    @task
    def use(made):
        noted, made_in = made
        return noted.pickled_in == made_in, noted.loaded_in == os.getpid()

    with Flow("test") as flow:
        used = use(make())
    state = flow.run(executor=ProcessExecutor(2), results="all")
    assert state.result[used].result == (True, True)
    (made,) = (each for each in flow.tasks if each.name == "make")
    value, made_in = state.result[made].result
    assert (value.pickled_in, value.loaded_in) == (made_in, os.getpid())
    assert state.result[made].result[0] is value


def test_mapping_over_a_large_value():
    """Its items go to the children."""

    @task
    def rows():
        return np.ones((3, 100_000))

    with Flow("test") as flow:
        total = task(lambda row: row.sum(), name="sum").map(rows())
    assert flow.run(executor=ProcessExecutor(2)).result[total].result == [100_000] * 3


def test_logs_arrive_as_they_are_written(tmp_path, caplog):
    """From every logger and thread, at the levels that hold here, while the task still runs."""
    arrived = tmp_path / "arrived"

    class Touches(logging.Handler):
        def emit(self, record):
            if record.getMessage() == "in a thread: 1":
                arrived.touch()

    @task
    def logs():
        thread = threading.Thread(
            target=logging.getLogger("theirs").info, args=("in a thread: %s", 1)
        )
        thread.start()
        thread.join()
        until(arrived)
        context.logger.warning("odd", extra={"unpicklable": threading.Lock()})
        try:
            int("inside")
        except ValueError:
            logging.getLogger("theirs").exception("failed")
        logging.getLogger("quiet").info("not this")

    with Flow("test") as flow:
        logs()
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.WARNING, "quiet")
    handler = Touches()
    logging.getLogger().addHandler(handler)
    try:
        assert type(results_of(flow)["logs"]) is Success
    finally:
        logging.getLogger().removeHandler(handler)
    assert "odd" in caplog.messages
    assert "not this" not in caplog.messages
    assert "ValueError: invalid literal" in caplog.text


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_was_logged_before_a_process_died(end, caplog):
    """All of it is there, in order, and before the task has failed."""

    @task
    def dies():
        for number in range(1000):
            logging.getLogger("theirs").info("line %d", number)
        exec(end)

    came_before = []
    with Flow("test") as flow:
        dies()
    caplog.set_level(logging.INFO)

    def look(event):
        if event.state.is_failed():
            came_before.extend(caplog.messages)

    flow.run(executor=ProcessExecutor(1), on_state=look)
    lines = [line for line in came_before if line.startswith("line")]
    assert lines == [f"line {number}" for number in range(1000)]


def test_what_is_logged_at_the_end_of_an_interrupted_run(tmp_path, caplog):
    """What a task says when it is interrupted is heard, too."""
    started = tmp_path / "started"

    @task
    def waits():
        try:
            started.touch()
            time.sleep(600)
        finally:
            for number in range(1000):
                logging.getLogger("theirs").info("line %d", number)

    @task
    def interrupts():
        until(started)
        raise KeyboardInterrupt

    with Flow("test") as flow:
        waits()
        interrupts()
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=ProcessExecutor(2))
    lines = [line for line in caplog.messages if line.startswith("line")]
    assert lines == [f"line {number}" for number in range(1000)]


def test_tasks_that_time_out_while_they_log(caplog):
    """A timeout that comes in the midst of a line breaks neither the line nor what follows."""

    @task(timeout=0.02, max_retries=30)
    def talks():
        if context.task_run_count > 30:
            return context.task_run_count
        while True:
            logging.getLogger("theirs").info("line")

    with Flow("test") as flow:
        talks()
    caplog.set_level(logging.INFO, "theirs")
    assert results_of(flow, ProcessExecutor(1), timeout=120)["talks"].result == 31
    assert {line for line in caplog.messages if len(line) < 10} == {"line"}


@pytest.mark.parametrize("obeys", [True, False])
def test_a_run_that_times_out_while_a_task_logs_without_a_pause(obeys, monkeypatch, caplog):
    """It ends, however slowly lines are handled here, and whether or not the task does."""

    class Slow(logging.Handler):
        def emit(self, record):
            time.sleep(0.005)

    @task
    def talks():
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                logging.getLogger("theirs").info("line")
            except BaseException:
                if obeys:
                    raise

    monkeypatch.setattr(processes, "_GRACE", 0.5)
    theirs = logging.getLogger("theirs")
    caplog.set_level(logging.INFO, "theirs")
    monkeypatch.setattr(theirs, "propagate", False)
    monkeypatch.setattr(theirs, "handlers", [Slow()])
    with Flow("test") as flow:
        talks()
    state = flow.run(executor=ProcessExecutor(1), timeout=1)
    assert type(state) is Cancelled
    assert "0 tasks had finished" in state.message


def test_a_task_that_times_out_while_its_lines_are_slowly_handled(monkeypatch, caplog):
    """It is TimedOut, however long it has to wait in the midst of a line: its process goes on."""

    class Slow(logging.Handler):
        def emit(self, record):
            time.sleep(1)

    @task(timeout=0.1)
    def talks():
        while True:
            logging.getLogger("theirs").info(500_000 * " ")

    caplog.set_level(logging.INFO, "theirs")
    theirs = logging.getLogger("theirs")
    monkeypatch.setattr(theirs, "propagate", False)
    monkeypatch.setattr(theirs, "handlers", [Slow()])
    with Flow("test") as flow:
        talks()
    assert type(results_of(flow, ProcessExecutor(1), timeout=120)["talks"]) is TimedOut


def test_a_task_that_goes_on_after_its_timeout_and_logs(monkeypatch, caplog, tmp_path):
    """It is TimedOut as one that is silent is, its process ends, and all that it had said is heard."""

    class Slow(logging.Handler):
        def emit(self, record):
            time.sleep(0.002)
            heard.append(int(record.getMessage()))

    @task(timeout=0.1)
    def talks():
        said = os.open(tmp_path / "said", os.O_CREAT | os.O_WRONLY)
        number = 0
        while True:
            with suppress(BaseException):
                logging.getLogger("theirs").info("%d", number)
                os.pwrite(said, b"%d" % number, 0)
                number += 1

    heard = []
    monkeypatch.setattr(processes, "_OVERDUE", 0.5)
    caplog.set_level(logging.INFO, "theirs")
    theirs = logging.getLogger("theirs")
    monkeypatch.setattr(theirs, "propagate", False)
    monkeypatch.setattr(theirs, "handlers", [Slow()])
    with Flow("test") as flow:
        talks()
        pid()
    results = results_of(flow, ProcessExecutor(1), timeout=50)
    assert type(results["talks"]) is TimedOut
    assert "its process, which did not react, was ended" in results["talks"].message
    assert type(results["pid"]) is Success
    assert set(heard) >= set(range(int((tmp_path / "said").read_text()) + 1))


def test_what_else_a_process_did_that_is_ended(monkeypatch):
    """Async tasks fail with it, and their message says why."""

    @task
    async def waits():
        await asyncio.sleep(600)

    @task(timeout=0.1)
    def stops():
        os.kill(os.getpid(), signal.SIGSTOP)

    monkeypatch.setattr(processes, "_OVERDUE", 0.5)
    with Flow("test") as flow:
        waits()
        stops()
    message = results_of(flow, ProcessExecutor(1), timeout=50)["waits"].message
    assert "since another task in it did not end after its timeout" in message


class Unloadable:
    """Cannot be loaded elsewhere, and takes its time to travel."""

    def __reduce__(self):
        return int, ("no number" + 100_000 * " ",)


def test_many_async_tasks_that_cannot_be_loaded():
    """A process that has much to say goes on taking what comes: nobody waits for the other."""

    @task
    async def take(number, x):
        return x

    with Flow("test") as flow:
        taken = take.map(list(range(2000)), unmapped(Unloadable()))
    state = flow.run(executor=ProcessExecutor(1), timeout=120)
    assert {type(each) for each in state.result[taken].map_states} == {Failed}


def test_parameters_that_cannot_be_loaded():
    """Tasks fail then in processes, async ones too, and the message says why: nobody waits for ever."""

    @task
    async def awaits():
        return 1

    with Flow("test") as flow:
        Parameter("given")()
        task(lambda: 1, name="takes")()
        awaits()
    results = results_of(flow, ProcessExecutor(1), parameters={"given": Unloadable()}, timeout=120)
    for name in ("takes", "awaits"):
        message = results[name].message
        assert "cannot load the parameters of the run, or its context: ValueError" in message


def test_output_comes_out_here(capsys):
    """What tasks print is written here, where secrets are masked, standard error by itself."""

    @task
    def prints():
        print("the secret is s3cret-", end="")
        sys.stdout.flush()
        print("value")
        print("an error", file=sys.stderr)
        os.write(1, b"from below\n")

    with Flow("test") as flow:
        prints()
    with masked(["s3cret-value"]):
        results_of(flow)
    out, err = capsys.readouterr()
    assert out == "the secret is ***\nfrom below\n"
    assert "an error\n" in err


class _Refuses:
    def write(self, text):
        raise RuntimeError("not here")


@pytest.mark.parametrize("stream", [None, _Refuses()])
def test_output_that_cannot_come_out_here(stream, monkeypatch):
    """As in a program without a terminal: it is lost, and tasks that print go on."""
    monkeypatch.setattr(sys, "stdout", stream)
    with Flow("test") as flow:
        task(lambda: print("\n" * 1_000_000), name="prints")()
    assert type(results_of(flow, ProcessExecutor(1))["prints"]) is Success


def test_states():
    """Failures keep their traceback's text, timeouts interrupt."""

    @task
    def boom():
        raise ValueError("far away")

    @task(timeout=0.05)
    def spin():
        while True:
            pass

    with Flow("test") as flow:
        boom()
        spin()
    results = results_of(flow)
    assert isinstance(results["boom"].result, ValueError)
    assert "in boom" in results["boom"].traceback
    assert type(results["spin"]) is TimedOut


def test_what_cannot_be_pickled():
    """Inputs, results and exceptions that cannot be pickled are failures that say so."""

    class OddError(Exception):
        def __init__(self, one, two):
            super().__init__(one)

    @task
    def takes(x):
        return x

    @task
    def gives():
        return threading.Lock()

    @task
    def raises():
        raise OddError(1, 2)

    with Flow("test") as flow:
        takes(threading.Lock())
        gives()
        raises()
    results = results_of(flow)
    assert "cannot be pickled" in results["takes"].message
    assert "result cannot be pickled" in results["gives"].message
    assert isinstance(results["raises"].result, RemoteTaskError)
    with Flow("test") as flow:
        pid(Parameter("x"))
    results = results_of(flow, ProcessExecutor(1), x=threading.Lock())
    assert "cannot be pickled" in results["pid"].message


def test_values_that_act_when_they_are_loaded():
    """A value cannot end this process, nor an exception become something else."""

    class Ends:
        def __reduce__(self):
            return sys.exit, (0,)

    class NumberError(Exception):
        def __reduce__(self):
            return int, ()

    @task
    def ends(large):
        return Ends(), b"x" * large

    @task
    def raises():
        raise NumberError

    with Flow("test") as flow:
        ends.map([1, 1_000_000])
        raises()
    results = results_of(flow, results="all")
    small, large = results["ends"].map_states
    for state in (small, large):
        assert type(state) is Failed
        assert "cannot be loaded here: SystemExit" in state.message
    assert isinstance(results["raises"].result, RemoteTaskError)


@pytest.mark.parametrize(
    ("ends", "status"),
    [(lambda: "child", 0), (lambda: 1 / 0, 1), (lambda: sys.exit(3), 3)],
    ids=["returns", "raises", "exits"],
)
def test_a_task_that_forks(ends, status):
    """Its child comes to nothing but its end, however it comes out of the task: the task answers."""

    @task(timeout=60)
    def forks():
        if not (child := os.fork()):
            return ends()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with Flow("test") as flow:
        forks()
        pid()
    results = results_of(flow, ProcessExecutor(1), timeout=60)
    assert results["forks"].result == status
    assert type(results["pid"]) is Success


def test_a_child_that_logs_while_its_task_returns_much():
    """What both send goes one at a time: nothing of a line is in the value."""

    @task
    def forks():
        if not os.fork():
            signal.alarm(20)
            for each in range(300):
                _log("x" * each)
            os._exit(0)
        return b"\0" * 60_000_000

    with Flow("test") as flow:
        forks()
    state = results_of(flow, ProcessExecutor(1), timeout=60)["forks"]
    assert state.result.count(0) == len(state.result) == 60_000_000


def test_an_async_task_that_forks():
    """Its child comes to nothing but its end there, too."""

    @task
    async def forks():
        if not (child := os.fork()):
            return "child"
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])  # noqa: ASYNC222  # it ends at once

    with Flow("test") as flow:
        forks()
    assert results_of(flow, ProcessExecutor(1), timeout=60)["forks"].result == 0


def test_a_fork_in_the_midst_of_what_another_thread_sends(caplog):
    """Its child logs all the same: it does not wait for a thread that is not its own."""

    @task
    def forks():
        talks = threading.Thread(target=lambda: [_log(each * 1000) for each in range(2000)])
        talks.start()
        found = []
        for _ in range(50):
            if not (child := os.fork()):
                signal.alarm(20)
                _log("of a child")
                os._exit(0)
            found.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        talks.join()
        return found

    with Flow("test") as flow:
        forks()
    caplog.set_level(logging.INFO, "theirs")
    assert set(results_of(flow, ProcessExecutor(1), timeout=60)["forks"].result) == {0}
    assert "of a child" in caplog.messages


def _log(what):
    logging.getLogger("theirs").info("%s", what)


def test_a_task_that_closes_its_output():
    """It, and those that come after it, succeed."""

    @task
    def closes():
        sys.stdout.close()
        sys.stderr = None

    with Flow("test") as flow:
        closes()
        pid()
    assert all(type(state) is Success for state in results_of(flow, ProcessExecutor(1)).values())


def test_what_a_task_leaves_running():
    """A run does not wait for it, though it holds the worker's output."""

    @task
    def leaves():
        return subprocess.Popen(["sleep", "600"], start_new_session=True).pid

    with Flow("test") as flow:
        leaves()
    left = results_of(flow)["leaves"].result
    try:
        assert runs(left)
    finally:
        os.kill(left, signal.SIGKILL)


def test_where_modules_are_looked_for(tmp_path, monkeypatch):
    """What is relative in sys.path is so to the directory of the run, and what is no text is nothing."""
    (tmp_path / "found_there.py").write_text("value = 5")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "found_below.py").write_text("value = 6")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "below", None, *sys.path])

    @task
    def imports():
        os.chdir("/")
        import found_below
        import found_there

        return found_there.value + found_below.value

    with Flow("test") as flow:
        imports()
    assert results_of(flow)["imports"].result == 11


def test_a_directory_that_is_gone(tmp_path, monkeypatch):
    """Processes start in it as ever: no module is looked for there."""
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", ["", "below", *sys.path])
    with Flow("test") as flow:
        pid()
    assert type(results_of(flow, ProcessExecutor(1))["pid"]) is Success


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by SIGKILL: perhaps memory ran out"),
        (lambda: os._exit(0), "ended with status 0"),
        # As some do that turn themselves into a daemon: no answer can be sent any more.
        (lambda: os.closerange(3, 1000), "ended with status"),
    ],
    ids=["killed", "exits", "closes all descriptors"],
)
def test_a_process_that_dies(end, said, tmp_path):
    """Its task fails, and is tried again as often as it says; the others go on."""

    @task(max_retries=1)
    def dies_once():
        if context.task_run_count == 1:
            end()
        return "again"

    @task
    def dies():
        end()

    with Flow("test") as flow:
        dies_once()
        dies()
        for _ in range(3):
            pid()
    results = results_of(flow)
    assert results["dies_once"].result == "again"
    assert type(results["dies"]) is Failed
    assert said in results["dies"].message
    assert type(results["pid"]) is Success


def _forked_by_c():
    """Fork as a library does that Python does not know of; the child has a session of its own."""
    library = ctypes.CDLL(None)
    if not (child := library.fork()):
        library.setsid()
        library.pause()
    return child


def _forked():
    if not (child := os.fork()):
        signal.pause()
    return child


def _of_a_pool():
    pool = multiprocessing.get_context("fork").Pool(1)
    child = pool.apply(os.getpid)
    pool.apply_async(time.sleep, (600,))
    time.sleep(0.2)  # or it may not have begun, and sees that nobody asks any more
    return child


@pytest.mark.parametrize("start", [_forked, _forked_by_c, _of_a_pool])
def test_a_process_that_is_killed_while_what_its_task_has_forked_goes_on(start, tmp_path):
    """Nobody waits for that, which has what the process had open; it ends with it, but for one with its own session."""

    @task
    def dies():
        logging.getLogger("theirs").info("started")
        (tmp_path / "child").write_text(str(start()))
        os.kill(os.getpid(), signal.SIGKILL)

    with Flow("test") as flow:
        dies()
        task(lambda: 1, name="next", trigger=all_finished)(upstream_tasks=flow.get_tasks())
    results = results_of(flow, ProcessExecutor(1), timeout=60)
    assert "ended by SIGKILL" in results["dies"].message
    assert results["next"].result == 1
    child = int((tmp_path / "child").read_text())
    if start is _forked_by_c:
        assert runs(child)
        os.kill(child, signal.SIGKILL)
    await_end(child)


def test_a_child_that_is_stopped_in_the_midst_of_a_line(tmp_path, caplog):
    """Its task does not wait for it, nor do those that come after."""

    @task
    def forks():
        if not (child := os.fork()):
            while True:
                _log(100_000 * "x")
        until(tmp_path / "heard")
        os.kill(child, signal.SIGSTOP)
        _log("of the task")
        return child

    class Touches(logging.Handler):
        def emit(self, record):
            (tmp_path / "heard").touch()

    caplog.set_level(logging.INFO, "theirs")
    with Flow("test") as flow:
        forks()
        pid()
    handler = Touches()
    logging.getLogger("theirs").addHandler(handler)
    try:
        results = results_of(flow, ProcessExecutor(1), timeout=60)
    finally:
        logging.getLogger("theirs").removeHandler(handler)
    os.kill(results["forks"].result, signal.SIGKILL)
    assert type(results["pid"]) is Success
    assert "of the task" in caplog.messages


def test_what_a_child_logs_comes_before_the_end_of_its_task(caplog):
    """All of it, in order with what the task says."""

    @task
    def forks():
        _log("before")
        if not (child := os.fork()):
            for number in range(500):
                _log(number)
            os._exit(0)
        os.waitpid(child, 0)
        _log("after")

    said = []
    with Flow("test") as flow:
        forks()

    def look(event):
        if event.state.is_finished():
            said.append(list(caplog.messages))

    caplog.set_level(logging.INFO, "theirs")
    flow.run(executor=ProcessExecutor(1), on_state=look)
    wanted = ["before", *map(str, range(500)), "after"]
    assert [each for each in said[-1] if each in set(wanted)] == wanted


def test_what_programs_inherit_that_a_task_starts():
    """Nothing that its process has open for itself."""

    @task
    def inheritable():
        found = []
        for number in range(3, 64):
            with suppress(OSError):
                found.append(os.get_inheritable(number))
        return found

    with Flow("test") as flow:
        inheritable()
    found = results_of(flow, ProcessExecutor(1))["inheritable"].result
    assert len(found) >= 3
    assert not any(found)


def test_a_task_that_ends_in_time_while_lines_of_another_are_slowly_handled(
    monkeypatch, caplog, tmp_path
):
    """It is not taken for overdue because it was not heard meanwhile."""

    class Slow(logging.Handler):
        def emit(self, record):
            (tmp_path / "handling").touch()
            time.sleep(9)

    @task
    def meets(x):
        (tmp_path / f"{x}").touch()
        until(tmp_path / f"{1 - x}")

    @task(timeout=8)
    def in_time():
        (tmp_path / "begun").touch()
        until(tmp_path / "handling")
        return bytes(10_000_000)

    @task
    def talks():
        until(tmp_path / "begun")
        time.sleep(0.3)  # that it has begun is heard before
        _log("line")

    monkeypatch.setattr(processes, "_OVERDUE", 0)
    caplog.set_level(logging.INFO, "theirs")
    theirs = logging.getLogger("theirs")
    monkeypatch.setattr(theirs, "propagate", False)
    monkeypatch.setattr(theirs, "handlers", [Slow()])
    with Flow("test") as flow:
        started = meets.map([0, 1])  # both processes are there
        in_time(upstream_tasks=[started])
        talks(upstream_tasks=[started])
    assert type(results_of(flow)["in_time"]) is Success


def test_a_process_that_closes_its_connection_and_goes_on(monkeypatch):
    """It is ended, and its task's message does not guess at memory."""

    @task
    def closes():
        for number in range(3, 1000):
            with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
                found.shutdown(socket.SHUT_RDWR)
        time.sleep(600)

    monkeypatch.setattr(processes, "_GRACE", 0.5)
    with Flow("test") as flow:
        closes()
        pid()
    results = results_of(flow, ProcessExecutor(1), timeout=50)
    assert "was ended, since its connection had closed" in results["closes"].message
    assert type(results["pid"]) is Success


@pytest.mark.parametrize("obeys", [True, False])
def test_an_interrupted_run(obeys, tmp_path, monkeypatch):
    """Tasks are interrupted, have time for what they do at the end, and are ended then."""
    monkeypatch.setattr(processes, "_GRACE", 60 if obeys else 0.5)
    started = tmp_path / "started"

    @task
    def waits():
        try:
            started.with_name("part").write_text(str(os.getpid()))
            started.with_name("part").rename(started)
            time.sleep(600)
        except KeyboardInterrupt:
            (tmp_path / "interrupted").touch()
            while not obeys:
                time.sleep(1)
            raise

    @task
    def interrupts():
        until(started)
        raise KeyboardInterrupt

    with Flow("test") as flow:
        waits()
        interrupts()
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=ProcessExecutor(2))
    assert not runs(int(started.read_text()))
    assert (tmp_path / "interrupted").exists()


@pytest.mark.parametrize("retries", [0, 1])
def test_a_process_that_does_not_hear_its_timeout(retries, monkeypatch, tmp_path):
    """One that stopped itself, or computes outside of Python: it is ended, and the task is TimedOut."""
    monkeypatch.setattr(processes, "_OVERDUE", 0.5)

    @task(timeout=0.1, max_retries=retries)
    def stops():
        if context.task_run_count == 1:
            (tmp_path / "process").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
        return context.task_run_count

    with Flow("test") as flow:
        stops()
        task(lambda: 1, name="other")()
    # It is ended as soon as another one, though it is the first task of its process: within the run's time.
    results = results_of(flow, ProcessExecutor(1), timeout=50)
    if retries:
        assert results["stops"].result == 2
    else:
        assert type(results["stops"]) is TimedOut
        assert "its process, which did not react, was ended" in results["stops"].message
    assert results["other"].result == 1
    assert not runs(int((tmp_path / "process").read_text()))


def _loops():
    time.sleep(0.7)
    if context.get("task_loop_count", 1) < 4:
        raise LOOP
    return "whole"


class _Slow:
    """Takes its time to be pickled."""

    def __reduce__(self):
        time.sleep(2.5)
        return str, ("whole",)


@pytest.mark.parametrize("work", [_loops, _Slow])
def test_what_a_timeout_does_not_count(work, monkeypatch):
    """It is of each pass of a task that loops, and not of the way of a result: no process is ended for that."""
    monkeypatch.setattr(processes, "_OVERDUE", 0)
    with Flow("test") as flow:
        task(lambda after: work(), name="last", timeout=2)(pid())
    assert results_of(flow, ProcessExecutor(1))["last"].result == "whole"


def test_a_stopped_process_that_is_sent_much(monkeypatch):
    """Nobody waits until it takes that: its task is TimedOut, and another process does the next one."""
    monkeypatch.setattr(processes, "_STARTING", 0.5)
    stopped = []

    def stop(event):
        if event.task_name == "first" and event.state.is_successful():
            stopped.append(event.state.result)
            os.kill(event.state.result, signal.SIGSTOP)
            watchdog.start()

    with Flow("test") as flow:
        first = task(pid.run, name="first")()
        second = task(lambda much, after: len(much), name="second", timeout=0.1)(MUCH, first)
        task(pid.run, name="third", trigger=all_finished)(upstream_tasks=[second])
    # A run that hangs ends with it, and this test with it, too late for what it asserts.
    watchdog = threading.Timer(30, lambda: os.kill(*stopped, signal.SIGKILL))
    state = flow.run(executor=ProcessExecutor(1), on_state=stop)
    watchdog.cancel()
    results = {each.name: state.result[each] for each in flow.tasks}
    assert type(results["second"]) is TimedOut
    assert "the task was not begun in time, and its process" in results["second"].message
    assert results["third"].is_successful()
    assert results["third"].result not in stopped
    assert not runs(*stopped)


MUCH = bytes(10_000_000)


class Where:
    """Tells which process asks for an item."""

    def __getitem__(self, key):
        return os.getpid()


def test_what_a_flow_adds_by_itself_is_done_here():
    """To take an item of a value, for example."""
    with Flow("test") as flow:
        item = task(Where)()["process"]
    assert flow.run(executor=ProcessExecutor(1)).result[item].result == os.getpid()


def test_a_flow_that_only_passes_values_on_starts_no_process(monkeypatch):
    """Where there is nothing to do, there is nobody who would."""
    monkeypatch.setattr(processes, "WorkerProcess", None)
    with Flow("test") as flow:
        item = Parameter("a", default=[1, 2])[1]
    assert flow.run(executor=ProcessExecutor(1)).result[item].result == 2


class Noted:
    """Its pickle is large, and writes down which process loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return _noted, (self.path, MUCH[:200_000])


def _noted(path, much):
    with path.open("a") as file:
        print(os.getpid(), file=file)
    return Noted(path)


class Elsewhere:
    """Cannot be loaded in the process that runs the flow."""

    def __init__(self, here):
        self.here = here

    def __reduce__(self):
        return _loaded_elsewhere, (self.here, MUCH[:200_000])


def _loaded_elsewhere(here, much):
    if os.getpid() == here:
        raise ValueError("not here")
    return Elsewhere(here)


def test_a_secret_that_cannot_be_loaded_here():
    """It goes on to other processes, and the run to its end."""

    class Secret(SecretBase):
        def run(self):
            return Elsewhere(here)

    here = os.getpid()
    with Flow("test") as flow:
        task(lambda secret: type(secret).__name__, name="kind")(Secret())
    assert results_of(flow)["kind"].result == "Elsewhere"


def test_lists_of_large_values_are_made_without_loading_them(tmp_path):
    """They go on as they came; also to children that are mapped over such a list."""
    path = tmp_path / "loaded"
    with Flow("test") as flow:
        large = [task(Noted, name="large")(path) for _ in range(2)]
        task(lambda each: sum(1 for _ in each), name="length")(large)
        task(lambda each: type(each).__name__, name="mapped").map(large)
    results = results_of(flow)
    assert results["length"].result == 2
    assert results["mapped"].result == ["Noted", "Noted"]
    assert len(loads := path.read_text().split()) == 4
    assert str(os.getpid()) not in loads


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_slice_of_large_values(kind):
    """It has these values, not what refers to them."""
    with Flow("test") as flow:
        large = kind(task(lambda: MUCH[:200_000], name=name)() for name in "abc")
        whole = task(lambda each: each, name="whole")(large)
        few = next(iter(flow.upstream_tasks(whole)))[1:]
    flow.set_reference_tasks([few])
    assert flow.run(executor=ProcessExecutor(1)).result[few].result == kind([MUCH[:200_000]] * 2)


def test_an_interruption_while_a_process_starts(capfd):
    """It ends in silence, however early that is."""
    reading, writing = os.pipe()
    worker = WorkerProcess(writing)
    worker.interrupt()
    worker.end(time.monotonic() + 60)
    assert worker.process.returncode == 0
    worker.close()
    os.close(reading)
    os.close(writing)
    assert capfd.readouterr().err == ""


def test_an_interruption_in_the_midst_of_the_start_of_a_process(monkeypatch):
    """It comes when the process has started, whichever thread took the signal: the process ends with the run."""
    started = []

    def interrupt():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.raise_signal(signal.SIGINT)

    class Interrupted(subprocess.Popen):
        def _execute_child(self, *args, **kwargs):
            other = threading.Thread(target=interrupt)
            other.start()
            other.join()
            super()._execute_child(*args, **kwargs)
            started.append(self.pid)

    monkeypatch.setattr(process_handle.subprocess, "Popen", Interrupted)
    with Flow("test") as flow:
        pid()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            flow.run(executor=ProcessExecutor(1))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    (number,) = started
    with pytest.raises(ChildProcessError):
        os.waitpid(number, 0)


def test_a_signal_that_comes_while_a_process_starts(monkeypatch):
    """What its handler raises ends the run, and no process is left of it."""

    class LateError(Exception):
        pass

    class Interrupted(subprocess.Popen):
        def _execute_child(self, *args, **kwargs):
            super()._execute_child(*args, **kwargs)
            started.append(self.pid)
            signal.raise_signal(signal.SIGALRM)

    def ring(*_):
        raise LateError

    started = []
    monkeypatch.setattr(process_handle.subprocess, "Popen", Interrupted)
    with Flow("test") as flow:
        pid()
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(LateError):
            flow.run(executor=ProcessExecutor(1))
        assert signal.getsignal(signal.SIGALRM) is ring
    finally:
        signal.signal(signal.SIGALRM, before)
    (number,) = started
    with pytest.raises(ChildProcessError):
        os.waitpid(number, 0)


def test_handlers_that_raise_when_they_are_given_back(monkeypatch):
    """Each has its signal again, and hears of what had come."""

    class LateError(Exception):
        pass

    def ring(*_):
        raise LateError

    real = signal.signal

    def set_handler(number, handler):
        if handler is ring:
            monkeypatch.setattr(signal, "signal", real)
            signal.raise_signal(signal.SIGALRM)  # in the midst of it
        return real(number, handler)

    heard = []
    before = real(signal.SIGALRM, ring), real(signal.SIGINT, lambda *_: heard.append("Ctrl-C"))
    try:
        monkeypatch.setattr(signal, "signal", set_handler)
        with pytest.raises(LateError), process_handle.uninterrupted():
            monkeypatch.setattr(signal, "signal", set_handler)
            signal.raise_signal(signal.SIGINT)
            assert heard == []
        assert heard == ["Ctrl-C"]
        assert signal.getsignal(signal.SIGALRM) is ring
        signal.raise_signal(signal.SIGINT)
        assert heard == ["Ctrl-C"] * 2
    finally:
        real(signal.SIGALRM, before[0]), real(signal.SIGINT, before[1])


def test_a_signal_of_an_event_loop_while_a_process_starts():
    """It is heard once."""

    async def hear():
        heard = []
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, heard.append, 1)
        with process_handle.uninterrupted():
            signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        loop.remove_signal_handler(signal.SIGTERM)
        return heard

    assert asyncio.run(hear()) == [1]


@pytest.mark.parametrize("end", [lambda: os._exit(9), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_shared_memory_of_a_process_that_dies(end):
    """It is released, as that of any program: Python's tracker of it has the time to do that."""
    name = f"prefect-{os.getpid()}-{time.monotonic_ns()}"

    @task
    def dies():
        SharedMemory(name, create=True, size=1 << 20)
        end()

    with Flow("test") as flow:
        dies()
    assert type(results_of(flow, ProcessExecutor(1))["dies"]) is Failed
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_a_forked_process_with_a_file_in_the_place_of_the_connection(tmp_path):
    """It can write to it, as daemons do."""

    @task
    def replaces():
        mine = os.open(tmp_path / "mine", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for number in range(3, 1000):
            with suppress(OSError):
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    os.dup2(mine, number)
        if not (child := os.fork()):
            for number in range(3, 1000):
                with suppress(OSError):
                    os.write(number, b"x") if os.path.samestat(
                        os.fstat(number), os.fstat(mine)
                    ) else None
            os._exit(0)
        os.waitpid(child, 0)

    with Flow("test") as flow:
        replaces()
    results_of(flow, ProcessExecutor(1))
    assert (tmp_path / "mine").read_bytes().count(b"x") >= 2


def test_tasks_where_bytes_are_not_compared_with_texts():
    """They run under `python -bb`, which makes that an error."""
    script = """
        from prefect import Flow, task
        from prefect.engine.executors import ProcessExecutor

        with Flow("test") as flow:
            task(lambda x: x + 1)(1)
        assert flow.run(executor=ProcessExecutor(1)).is_successful()
    """
    subprocess.run([sys.executable, "-bb", "-c", textwrap.dedent(script)], check=True)


def test_a_process_for_which_there_are_no_threads(monkeypatch):
    """It is ended, and the task's message says what was wanting."""
    started = []

    class Known(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self.pid)

    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(process_handle.subprocess, "Popen", Known)
    monkeypatch.setattr(process_handle, "Thread", Refused)
    with Flow("test") as flow:
        pid()
    message = results_of(flow, ProcessExecutor(1))["pid"].message
    assert message == "no process can be started: RuntimeError: can't start new thread"
    (number,) = started
    assert not runs(number)


SCRIPT = """
import os, signal, subprocess, sys, time
from prefect import Flow, task
from prefect.engine.executors import ProcessExecutor
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start their jobs without it
@task
def wait():
    child = subprocess.Popen(["sleep", "600"])
    print(os.getpid(), child.pid, flush=True)
    time.sleep(600)
with Flow("test") as flow:
    wait()
flow.run(executor=ProcessExecutor(1))  # without if __name__ == "__main__"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_process_that_runs_the_flow_ends(number):
    """By Ctrl-C or by kill -9: no worker process goes on, nor what its task has started."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        worker, child = map(int, process.stdout.readline().split())
        process.send_signal(number)
        process.wait(60)
        await_end(worker, child)


TWICE = """
import os, signal, sys, time
from prefect import Flow, task
from prefect.engine.executors import ProcessExecutor
signal.signal(signal.SIGINT, signal.default_int_handler)
@task
def wait():
    said = []
    while True:
        try:
            if not said:
                said.append(True)
                print(os.getpid(), flush=True)
            time.sleep(600)
        except KeyboardInterrupt:
            print("not yet", flush=True)
with Flow("test") as flow:
    wait()
try:
    flow.run(executor=ProcessExecutor(1))
except KeyboardInterrupt:
    print("ended", flush=True)
    sys.stdin.read()
"""


def test_a_second_interruption():
    """It ends the time that tasks have for their end: no process goes on, also where a notebook does."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", TWICE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "not yet\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "ended\n"
        await_end(worker)
        assert "ResourceWarning" not in process.communicate("")[1]


@pytest.mark.parametrize(
    "junk",
    [b"of somebody else", b"\nof somebody else\n", b"\0\0\0\x0bstate:77 1 x", b"\0\0\0\x05state"],
)
def test_a_task_that_writes_to_what_it_did_not_open(junk):
    """It has its result, or has failed: nobody waits for the rest of a message, and the run goes on."""

    @task
    def writes():
        for number in range(3, 1000):
            with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
                found.sendall(junk)
        return "result"

    with Flow("test") as flow:
        writes()
        pid()
    results = results_of(flow, ProcessExecutor(1), timeout=60)
    state = results["writes"]
    assert state.result == "result" if state.is_successful() else "wrote to it" in state.message
    assert type(results["pid"]) is Success


def test_a_task_that_puts_something_odd_in_the_place_of_its_output():
    """It and those that come after it succeed."""

    @task
    def puts():
        class Odd:
            def flush(self):
                raise RuntimeError("not here")

        sys.stdout = Odd()

    with Flow("test") as flow:
        puts()
        pid()
    assert all(type(state) is Success for state in results_of(flow, ProcessExecutor(1)).values())


def test_a_run_within_a_task():
    """A task in a process may run a flow in processes."""

    @task
    def outer():
        with Flow("inner") as inner:
            t = pid()
        return inner.run(executor=ProcessExecutor(1)).result[t].result

    with Flow("outer") as flow:
        outer()
        pid()
    results = results_of(flow)
    assert len({results["outer"].result, results["pid"].result, os.getpid()}) == 3


def test_arguments():
    """A number of workers is one from 1; the text form says it where it was given."""
    with pytest.raises(ValueError, match="at least 1"):
        ProcessExecutor(0)
    assert ProcessExecutor().text() == "processes"
    assert ProcessExecutor(4).text() == "processes:4"
    assert repr(ProcessExecutor(4)) == "ProcessExecutor(max_workers=4)"

"""ThreadExecutor."""

import contextvars
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from prefect import Flow, task
from prefect.engine.executors import ThreadExecutor
from prefect.engine.state import Cancelled


def test_tasks_run_at_the_same_time():
    """As many tasks run at a time as there are workers, and no more."""
    barrier = threading.Barrier(3)
    running, most = [], []

    @task
    def meet(x):
        running.append(x)
        most.append(len(running))
        barrier.wait(60)
        running.remove(x)
        barrier.wait(60)
        return threading.current_thread().name

    with Flow("test") as flow:
        t = meet.map(list(range(6)))
    result = flow.run(executor=ThreadExecutor(3)).result[t].result
    assert set(result) == {"prefect-task"}
    assert max(most) == 3


def test_threads_end_with_the_run():
    """No thread is left after a run."""
    before = set(threading.enumerate())  # of other tests, whose threads may end meanwhile
    with Flow("test") as flow:
        task(lambda x: x).map(list(range(20)))
    assert flow.run(executor=ThreadExecutor(4)).is_successful()
    assert set(threading.enumerate()) <= before


def test_threads_start_as_they_are_needed():
    """A chain of tasks needs one thread, however many workers there may be."""
    with Flow("test") as flow:
        x = None
        idents = []
        for _ in range(5):
            x = task(lambda x: idents.append(threading.get_ident()))(x)
    flow.run(executor=ThreadExecutor(8))
    assert len(set(idents)) == 1


def test_context_variables():
    """Context variables that were set before the run hold in its tasks."""
    variable = contextvars.ContextVar("variable")
    variable.set("here")

    @task
    def read():
        return variable.get()

    with Flow("test") as flow:
        t = read()
    assert flow.run(executor=ThreadExecutor(1)).result[t].result == "here"


def test_abandoned_threads_end():
    """When a run is interrupted, tasks that compute in other threads end soon."""
    started = threading.Event()
    threads = []

    @task
    def spin():
        threads.append(threading.current_thread())
        started.set()
        while True:
            pass

    @task
    def interrupt():
        started.wait(60)
        raise KeyboardInterrupt

    with Flow("test") as flow:
        spin()
        interrupt()
    with pytest.raises(KeyboardInterrupt):
        flow.run(executor=ThreadExecutor(2))
    threads[0].join(60)
    assert not threads[0].is_alive()


SCRIPT = """
import signal, time
from prefect import Flow, task
from prefect.engine.executors import ThreadExecutor
from prefect.engine.state import Cancelled
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start their jobs without it
@task
def wait(x):
    print("started", flush=True)
    time.sleep(600)
with Flow("test") as flow:
    wait(1)
flow.run(executor=ThreadExecutor(1))
"""


def test_ctrl_c():
    """Ctrl-C ends the process although a task in a thread waits for something."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "started\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_while_a_thread_starts(monkeypatch):
    """Ctrl-C that comes before a thread has begun is raised as what it is, and tells what there is."""

    def interrupted(thread):
        raise KeyboardInterrupt

    with Flow("test") as flow:
        t = task(lambda: 1, name="one")()
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as stop:
        flow.run(executor=ThreadExecutor(2))
    assert type(stop.value.state.result[t]) is Cancelled


def test_arguments():
    """The number of workers is at least one, and has a default."""
    assert ThreadExecutor().max_workers >= 1
    assert repr(ThreadExecutor(3)) == "ThreadExecutor(max_workers=3)"
    with pytest.raises(ValueError, match="max_workers"):
        ThreadExecutor(0)
    with pytest.raises(TypeError, match="max_workers"):
        ThreadExecutor("3")

"""Printed lines in the log."""

import logging
import subprocess
import sys
import threading

import pytest

from prefect import Flow, task
from prefect.engine.executors import ThreadExecutor
from prefect.engine.stdout import stdout_logged


@pytest.fixture(autouse=True)
def info(caplog):
    """Log at level INFO."""
    caplog.set_level(logging.INFO, logger="prefect.task")


def messages(caplog):
    return [(r.name, r.getMessage()) for r in caplog.records if r.name.startswith("prefect.task.")]


@task(log_stdout=True)
def chatty(x):
    print("one", x)
    sys.stdout.writelines(["t", "wo\nthr"])
    print("ee", end="")


def test_lines(executor, caplog, capsys):
    """Whole lines go to the task's logger, the last one too, and not to the terminal."""
    before = sys.stdout
    with Flow("test") as flow:
        chatty(1)
    flow.run(executor=executor)
    log = "prefect.task.chatty"
    assert messages(caplog) == [(log, "one 1"), (log, "two"), (log, "three")]
    assert capsys.readouterr().out == ""
    assert sys.stdout is before


def test_other_tasks_print(caplog, capsys):
    """Tasks that run at the same time without log_stdout print as ever."""
    barrier = threading.Barrier(2)

    @task(log_stdout=True, name="logged")
    def logged():
        barrier.wait(10)
        print("to the log")
        barrier.wait(10)

    @task
    def plain():
        barrier.wait(10)
        print("to the terminal")
        barrier.wait(10)

    with Flow("test") as flow:
        logged()
        plain()
    before = sys.stdout
    assert flow.run(executor=ThreadExecutor(2)).is_successful()
    assert messages(caplog) == [("prefect.task.logged", "to the log")]
    assert capsys.readouterr().out == "to the terminal\n"
    assert sys.stdout is before


def test_restored_after_failures(caplog):
    """Standard output is as before when a task fails, and what it printed is logged."""
    before = sys.stdout
    with pytest.raises(ZeroDivisionError), stdout_logged(logging.getLogger("prefect.task.t")):
        print("hello", end="")
        assert sys.stdout.encoding == before.encoding
        1 / 0  # noqa: B018
    assert sys.stdout is before
    assert messages(caplog) == [("prefect.task.t", "hello")]


def test_with_a_timeout(executor, caplog):
    """What a task with a timeout prints is logged as well."""
    with Flow("test") as flow:
        chatty.copy(timeout=60).bind(1, flow=flow)
    flow.run(executor=executor)
    assert len(messages(caplog)) == 3


def test_tasks_that_print_while_others_stop_being_logged():
    """The interpreter survives prints of one thread while the last logged task of another ends."""
    script = """
import contextlib, io, time
from prefect import Flow, task
from prefect.engine.executors import ThreadExecutor

class Slow(io.StringIO):
    def write(self, text):
        time.sleep(0.0005)  # so that other threads run between the words of one print
        return super().write(text)

@task(log_stdout=True)
def logged(x):
    print("logged", x)
    time.sleep(0.001)

@task
def plain(x):
    print("plain", x, "and", x, "and", x)

with Flow("test") as flow:
    for x in range(300):
        logged(x), plain(x)
with contextlib.redirect_stdout(Slow()) as printed:
    assert flow.run(executor=ThreadExecutor(3)).is_successful()
assert printed.getvalue().count("plain") == 300
assert "logged" not in printed.getvalue()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (0, 300), done.stderr
    assert all("INFO - prefect.task.logged | logged" in line for line in lines)

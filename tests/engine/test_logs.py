"""What a run logs."""

import logging
import subprocess
import sys
import textwrap

import pytest

from prefect import Flow, task
from prefect.engine import logs, signals
from prefect.engine.executors import DaskExecutor
from prefect.engine.state import Failed
from prefect.errors import ExecutorError


@task(max_retries=1)
def boom():
    raise ValueError("no")


@task
def fail():
    raise signals.FAIL("on purpose")


@pytest.fixture
def flow():
    with Flow("test") as flow:
        task(lambda x, y: 1)(boom(), fail())
    return flow


def test_failures_are_logged_with_tracebacks(flow, caplog):
    """A failure and a retry are logged with their traceback; what follows from it is not."""
    caplog.set_level(logging.WARNING)
    flow.run()
    records = [(r.levelname, r.getMessage().partition(" at ")[0]) for r in caplog.records]
    assert records == [
        ("WARNING", "task 'boom': Retrying"),
        ("ERROR", "task 'fail': Failed: on purpose"),
        ("ERROR", "task 'boom': Failed: ValueError: no"),
        ("ERROR", "flow 'test': Failed: Some reference tasks failed: <lambda>."),
    ]
    assert caplog.text.count("in boom") == 2
    assert "in fail" not in caplog.text
    assert "prefect/engine" not in caplog.text


def test_progress_is_logged_if_wanted(caplog):
    """At level INFO the start and end of the flow and of each task that does work are logged."""
    with Flow("test") as flow:
        task(lambda x: x, name="one").map([5])
    caplog.set_level(logging.INFO)
    flow.run()
    assert [r.getMessage() for r in caplog.records] == [
        "flow 'test' starts",
        "task 'one[0]' starts",
        "task 'one[0]': Success: the task succeeded",
        "flow 'test': Success: All reference tasks succeeded.",
    ]


def test_a_flow_starts_where_its_executor_does(caplog):
    """No flow is said to start, in the log or to state handlers, whose executor cannot start."""
    told = []
    flow = Flow("test", state_handlers=[lambda _, __, new: told.append(new)])
    caplog.set_level(logging.INFO)
    with pytest.raises(ExecutorError):
        flow.run(executor=DaskExecutor("tcp://127.0.0.1:9", client_kwargs={"timeout": 0.2}))
    assert (caplog.messages, told) == ([], [])


SCRIPT = """
from prefect import Flow, task
@task
def boom():
    raise ValueError("no")
@task
def fine():
    return 1
with Flow("test") as flow:
    fine()
    {call}
flow.run()
import sys
print("logging" in sys.modules)
"""


def run(call):
    script = textwrap.dedent(SCRIPT).format(call=call)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )


def test_unconfigured():
    """Without any configuration failures reach stderr, with their traceback."""
    error = run("boom()").stderr
    assert "task 'boom': Failed: ValueError: no\nTraceback" in error
    assert "starts" not in error


def test_successful_runs_do_not_import_logging():
    """A run in which nothing is logged does not pay for importing logging."""
    result = run("fine()")
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_tracebacks_from_other_processes(caplog):
    """The text of a traceback is logged where the exception itself has lost it."""
    state = Failed("ValueError: no", ValueError("no"))
    state.traceback = "Traceback (most recent call last):\n  far away\nValueError: no\n"
    logs.task_finished("t", state)
    assert "far away" in caplog.text

"""One try at one task."""

import asyncio
import pickle
import sys
from datetime import UTC, datetime, timedelta

import pytest

from prefect import Task, context, task
from prefect.engine import signals
from prefect.engine.job import Job, run_job
from prefect.engine.state import Failed, Retrying, Skipped, Success, TimedOut
from prefect.errors import TaskTimeoutError


def job(function, run_count=1, inputs=None, **settings):
    return Job(task(function, **settings), "slug", 3, inputs or {}, {"a": 1}, run_count)


def boom():
    raise ValueError("no")


def test_success():
    """What run returns is the result."""
    assert run_job(job(lambda x: x + 1, inputs={"x": 1})) == Success(None, 2)


def test_failure():
    """What run raises is the result of the failure, its traceback free of this package."""
    state = run_job(job(boom))
    assert type(state) is Failed
    assert state.message == "ValueError: no"
    assert "in boom" in state.traceback
    assert "run_job" not in state.traceback


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, BaseExceptionGroup])
def test_every_exception_is_a_failure(error):
    """Whatever a task raises fails the task, not the run, if nobody asked for the run to end."""

    def cancelled():
        raise error("x", [ValueError()]) if error is BaseExceptionGroup else error

    assert type(run_job(job(cancelled))) is Failed


def test_interruptions_end_the_run():
    """An interrupt is not the task's."""

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job(interrupted))
    assert "task_name" not in context


@pytest.mark.parametrize("code", [0, 3, None])
def test_exits_are_failures(code):
    """A task that calls sys.exit() has not done its work, whatever it calls it with."""
    state = run_job(job(lambda: sys.exit(code)))
    assert type(state) is Failed
    assert "SystemExit" in state.message


def test_signals():
    """A signal is the state that it carries."""

    def skip():
        raise signals.SKIP("no need", result=7)

    state = run_job(job(skip, max_retries=3))
    assert (type(state), state.message, state.result) == (Skipped, "no need", 7)


def test_retries():
    """A failure is retried as often as the task says, after its delay."""
    before = datetime.now(UTC)
    state = run_job(job(boom, run_count=2, max_retries=2, retry_delay=60))
    assert type(state) is Retrying
    assert state.run_count == 2
    assert before + timedelta(seconds=60) <= state.start_time
    assert isinstance(state.result, ValueError)
    assert "try 2 of 3" in state.message
    assert type(run_job(job(boom, run_count=3, max_retries=2))) is Failed


def test_retry_signal():
    """RETRY is obeyed whatever max_retries says, and knows how many tries there were."""

    def retry():
        raise signals.RETRY("later")

    state = run_job(job(retry, run_count=5))
    assert (type(state), state.run_count) == (Retrying, 5)


def test_context():
    """The context tells the task about itself, and is taken back afterwards."""
    seen = run_job(job(context.to_dict, run_count=2, name="me")).result
    expected = {"task_name": "me", "task_slug": "slug", "map_index": 3, "task_run_count": 2}
    expected |= {"task_full_name": "me[3]", "task_id": "slug", "task_tags": set()}
    assert seen == {"a": 1, **expected}
    assert "a" not in context


def test_timeout():
    """A task that takes too long is TimedOut."""
    import time

    state = run_job(job(lambda: time.sleep(60), timeout=0.02))
    assert type(state) is TimedOut
    assert state.message == "Timed out after 0.02 seconds"
    assert isinstance(state.result, TaskTimeoutError)


def test_own_timeout_errors_are_failures():
    """A TimeoutError of the task's own is an ordinary failure."""

    def own():
        raise TimeoutError("socket")

    assert type(run_job(job(own, timeout=60))) is Failed


class Double(Task):
    """A task that can be pickled by reference."""

    def run(self, x):
        return 2 * x


def test_pickles():
    """A job can be sent elsewhere and done there."""
    sent = Job(Double(), "slug", None, {"x": 4}, {}, 1)
    assert run_job(pickle.loads(pickle.dumps(sent))).result == 8

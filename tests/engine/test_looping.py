"""Tasks that run again by LOOP, and tasks that wait for somebody's word."""

import os
import pty
import subprocess
import sys
from datetime import timedelta

import pytest

import prefect
from prefect import Flow, task, triggers
from prefect.engine import signals
from prefect.engine.state import Failed
from prefect.utilities.tasks import pause_task


def passes(n, **task_args):
    @task(**task_args)
    def loops():
        count = prefect.context.get("task_loop_count", 1)
        if count < n:
            raise signals.LOOP(result=prefect.context.get("task_loop_result", 0) + count)
        return prefect.context.get("task_loop_result", 0)

    with Flow("f") as flow:
        made = loops()
    return flow, made


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:1"])
def test_a_task_loops_until_it_ends(executor):
    """Each pass has the last one's result, in every executor."""
    flow, made = passes(4)
    assert flow.run(executor=executor).result[made].result == 6


def test_loops_need_no_stack():
    """Ten thousand passes are none too many."""
    flow, made = passes(10_000)
    assert flow.run().result[made].result == sum(range(10_000))


def test_what_is_set_in_one_pass_is_gone_in_the_next():
    """The context of a pass is its own, and nothing is left of it after the run."""
    flow, _ = passes(3, timeout=60, log_stdout=True)
    assert flow.run().is_successful()
    assert "task_loop_count" not in prefect.context


def paused(**context):
    @task(trigger=triggers.manual_only)
    def waits():
        return "went on"

    with Flow("f") as flow:
        made = waits()
    return flow.run(context=context).result[made]


def test_a_paused_task_fails_where_nobody_can_be_asked(monkeypatch):
    """Not at a terminal, the failure says that it is one which needs somebody's word."""
    monkeypatch.setattr(sys, "stdin", None)
    state = paused()
    assert isinstance(state, Failed)
    assert "run the flow at a terminal" in state.message


SCRIPT = """
from prefect import Flow, task, triggers
from prefect.utilities.tasks import pause_task

@task(trigger=triggers.manual_only)
def waits():
    return "went on"

@task
def asks(x):
    pause_task("is it well?")
    return x

with Flow("f") as flow:
    made = asks(waits())
state = flow.run()
print(type(state.result[made]).__name__, state.result[made].result)
"""


@pytest.mark.parametrize(
    ("typed", "end"), [("y\ny\n", "Success went on"), ("n\n", "TriggerFailed"), ("y\n\n", "Failed")]
)
def test_somebody_at_the_terminal_lets_a_task_go_on(typed, end):
    """A yes lets it go on, for its trigger as within the task; anything else is its failure."""
    master, slave = pty.openpty()
    os.write(master, typed.encode())
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdin=slave, capture_output=True, text=True, check=True, timeout=60
    )  # fmt: skip
    os.close(slave)
    os.close(master)
    assert done.stdout.startswith(end)
    assert "Task 'waits' is paused (its trigger is manual_only). Let it go on? [y/N]" in done.stderr


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:2"])
def test_a_task_that_is_paused_for_a_while_goes_on_by_itself(executor):
    """Nobody is asked: it runs again once the time is over, also if it is mapped."""

    @task
    def waits(x):
        pause_task(duration=timedelta(seconds=0.1 * x))
        return x

    with Flow("f") as flow:
        one, several = waits(1), waits.map([1, 2])
    state = flow.run(executor=executor)
    assert (state.result[one].result, state.result[several].result) == (1, [1, 2])


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:2"])
def test_a_task_that_is_paused_does_not_go_on_before_its_time(executor):
    """What it is paused for may be longer than the run."""

    @task
    def waits():
        pause_task(duration=timedelta(hours=1))

    with Flow("f") as flow:
        waited = waits()
        told = task(lambda x: x)(waited)
    state = flow.run(executor=executor, timeout=3)
    assert type(state.result[waited]).__name__ == type(state.result[told]).__name__ == "Cancelled"


def test_the_duration_of_a_pause_is_one():
    """A number is an error that says so."""
    with pytest.raises(TypeError, match="duration"):
        pause_task(duration=3)


@pytest.mark.parametrize("executor", ["local", "threads:2"])
def test_an_async_task_loops_as_well(executor):
    """Its passes are awaited, and a retry goes on with the pass that failed."""
    seen = []

    @task(max_retries=1)
    async def loops():
        count = prefect.context.get("task_loop_count", 1)
        seen.append(count)
        if seen == [1, 2]:
            raise ValueError("once")
        if count < 3:
            raise signals.LOOP(result=count)
        return prefect.context.task_loop_result

    with Flow("f") as flow:
        made = loops()
    assert flow.run(executor=executor).result[made].result == 2
    assert seen == [1, 2, 2, 3]


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:1"])
@pytest.mark.parametrize("is_async", [False, True])
def test_state_handlers_see_each_pass(executor, is_async):
    """They are called where the flow runs, with the number of the pass, and after each: it is no try."""
    seen = []

    def handler(task, old, new):
        context = prefect.context
        count = context.get("task_loop_count")
        seen.append((type(old).__name__, type(new).__name__, count, context.task_run_count))

    def work():
        count = prefect.context.get("task_loop_count", 1)
        if count < 3:
            raise signals.LOOP(result=count)
        return prefect.context.task_loop_result

    async def awaited():
        return work()

    with Flow("f") as flow:
        made = task(awaited if is_async else work, state_handlers=[handler])()
    assert flow.run(executor=executor).result[made].result == 2
    assert seen == [
        ("Pending", "Running", None, 1),
        ("Running", "Looped", None, 1),
        ("Pending", "Running", 2, 1),
        ("Running", "Looped", 2, 1),
        ("Pending", "Running", 3, 1),
        ("Running", "Success", 3, 1),
    ]


def test_a_failed_pass_is_tried_again_where_it_was():
    """Its retry has the result of the pass before, with state handlers and without."""
    seen = []

    @task(max_retries=2)
    def work():
        count = prefect.context.get("task_loop_count", 1)
        seen.append((count, prefect.context.get("task_loop_result")))
        if count == 2 and len(seen) < 4:
            raise ValueError
        if count < 3:
            raise signals.LOOP(result=count)

    handled = work.copy(state_handlers=[lambda *_: None])
    for each in (work, handled):
        seen.clear()
        with Flow("f") as flow:
            each()
        assert flow.run().is_successful()
        assert seen == [(1, None), (2, 1), (2, 1), (2, 1), (3, 2)]


def test_loops_with_state_handlers_need_no_stack_and_stay_within_limits():
    """A thousand passes are none too many, and each gives its place to others."""
    flow, made = passes(1000, state_handlers=[lambda *_: None], tags=["one"])
    assert flow.run(limits={"one": 1}).result[made].result == sum(range(1000))

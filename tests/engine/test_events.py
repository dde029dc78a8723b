"""What observers are told."""

from datetime import timedelta
from itertools import pairwise

from prefect import Flow, task, unmapped
from prefect.engine import TaskEvent
from prefect.engine.state import Success
from prefect.utilities.tasks import pause_task


def names(events):
    return [(e.task_slug, e.map_index, type(e.state).__name__, e.children) for e in events]


def test_events_of_a_run():
    """Each change of state is told, in order, with the number of children of a mapped task."""

    @task(max_retries=1)
    def flaky():
        if flaky_tries.append(1) or len(flaky_tries) == 1:
            raise ValueError

    flaky_tries = []
    with Flow("test") as flow:
        first = flaky()
        inc = task(lambda x, y: x).copy(name="inc")
        inc.map([1, 2], unmapped(first))
    events = []
    state = flow.run(on_state=events.append)
    assert state.is_successful()
    assert names(events) == [
        ("flaky-1", None, "Running", None),
        ("flaky-1", None, "Retrying", None),
        ("Constant[list]-1", None, "Running", None),
        ("Constant[list]-1", None, "Success", None),
        ("flaky-1", None, "Running", None),
        ("flaky-1", None, "Success", None),
        ("inc-1", None, "Mapped", 2),
        ("inc-1", 0, "Running", None),
        ("inc-1", 0, "Success", None),
        ("inc-1", 1, "Running", None),
        ("inc-1", 1, "Success", None),
    ]
    assert all(a.time <= b.time for a, b in pairwise(events))
    assert events[0].task_name == "flaky"


def test_repr():
    """The repr names the task, the child and the state."""
    assert repr(TaskEvent("inc-1", "inc", 3, Success())) == "<TaskEvent: inc-1[3] Success>"
    assert repr(TaskEvent("inc-1", "inc", None, Success())) == "<TaskEvent: inc-1 Success>"


def test_a_pause_is_told():
    """A paused task does not run meanwhile, and whoever watches sees that."""

    @task
    def waits():
        pause_task("for the other team", timedelta(0))

    with Flow("test") as flow:
        waits()
    events = []
    flow.run(on_state=events.append)
    assert [(type(e.state).__name__, e.state.message) for e in events] == [
        ("Running", "the task is running"),
        ("Paused", "for the other team"),
        ("Running", "the task is running"),
        ("Success", "the task succeeded"),
    ]

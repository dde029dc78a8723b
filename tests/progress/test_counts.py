"""`prefect.progress.counts`: how far a run is."""

import pytest

from prefect import Flow, Parameter, task
from prefect.progress import counts
from prefect.progress.counts import Counts


@task
def load(x):
    return x


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(counts, "time", clock)
    return clock


@pytest.fixture
def made(clock):
    """The counts of a flow of a parameter, a task, and a mapped one."""
    with Flow("test") as flow:
        load.map(load(Parameter("x")), task_args={"name": "each"})
    return Counts(flow.serialize())


def test_what_ended_is_counted(made, clock):
    """A mapped task ends with its last child; what only has a value is no state that counts."""
    made.take("x", None, "Running")
    made.take("x", None, "Success")
    made.take("load-1", None, "Running")
    clock.now += 2
    assert made.take("load-1", None, "Success") == (2.0, None)
    made.take("each-1", None, "Mapped", 3)
    assert (made.finished, made.total) == (1, 2)
    for index, state in enumerate(["Success", "Failed"]):
        made.take("each-1", index, "Running")
        assert made.take("each-1", index, state) == (0.0, None)
    made.take("each-1", 2, "Running")
    made.take("each-1", 2, "Retrying")
    assert made.mapped["each-1"].ended == 2
    _, ended = made.take("each-1", 2, "Cached")
    assert (ended.failed, made.finished, made.mapped) == (1, 2, {})
    assert made.states == {"Success": 2, "Failed": 1, "Cached": 1}
    assert not made.running


def test_what_is_left_is_known_of_children_alone(made, clock):
    """It follows from those that have ended, once there are some; the rate is that of late."""
    made.take("each-1", None, "Mapped", 10)
    assert made.mapped["each-1"].left(clock.now) is None
    assert made.rate() is None
    for index in range(4):
        clock.now += 2
        made.take("each-1", index, "Success")
    assert made.mapped["each-1"].left(clock.now) == pytest.approx(12)
    assert made.rate() == pytest.approx(0.5)
    clock.now += 100
    assert made.rate() is None


def test_the_slowest_are_kept(made, clock):
    """There are three, longest first, by the names that they go by."""
    made.take("each-1", None, "Mapped", 10)
    for index in range(6):
        made.take("each-1", index, "Running")
        clock.now += [1, 5, 2, 9, 3, 1][index]
        made.take("each-1", index, "Success")
    assert [(seconds, made.label(*key)) for seconds, key in made.slowest] == [
        (9, "each[3]"),
        (5, "each[1]"),
        (3, "each[4]"),
    ]

"""`prefect.progress.counts`: how far a run is."""

import pytest

from prefect import Flow, Parameter, task
from prefect.progress import counts
from prefect.progress.counts import Counts, Expected


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


def test_what_is_left_of_a_run_follows_from_an_earlier_one(made, clock):
    """From how long tasks took then, at the pace of this run; a mapped task has as many children as it has now."""
    made.expected = Expected({"load-1": 2.0, "each-1": 4.0}, {"load-1": 1, "each-1": 10}, 21.0)
    assert made.left() == pytest.approx(21)  # 42 seconds of work took half of that
    assert "about 21.0 s left" in made.head()
    made.take("load-1", None, "Running")
    clock.now += 2
    made.take("load-1", None, "Success")
    made.take("each-1", None, "Mapped", 20)
    assert made.left() == pytest.approx(40)
    for index in range(10):
        made.take("each-1", index, "Running")
        clock.now += 2
        made.take("each-1", index, "Success")
    assert made.left() == pytest.approx(40 * 22 / 42)  # 42 seconds of work have taken 22
    for index in range(10, 20):
        made.take("each-1", index, "Running")
        made.take("each-1", index, "Success")
    clock.now += 1
    assert " left" not in made.head()


def test_what_is_left_of_a_run_is_not_guessed(made, clock):
    """Nothing is said of a task that no earlier run had, nor without one before only mapped tasks are left that tell it."""
    assert made.left() is None
    made.expected = Expected({"load-1": 2.0}, {"load-1": 1}, 2.0)
    clock.now += 2
    assert made.left() is None
    made.expected = None
    made.take("load-1", None, "Success")
    made.take("each-1", None, "Mapped", 10)
    for index in range(5):
        clock.now += 2
        made.take("each-1", index, "Success")
    assert made.left() == pytest.approx(10)


def test_what_is_paused_does_not_run(made, clock):
    """It is counted by itself until it goes on."""
    made.take("load-1", None, "Running")
    made.take("load-1", None, "Paused")
    assert not made.running
    assert made.head().endswith("1 paused")
    made.take("load-1", None, "Running")
    assert "paused" not in made.head()
    assert list(made.running) == [("load-1", None)]

"""Triggers."""

import pickle

import pytest

from prefect import Task, triggers
from prefect.core.graph import Edge
from prefect.engine import signals
from prefect.engine.state import Failed, Mapped, Skipped, Success

OK, BAD, SKIP = Success(), Failed(), Skipped()


def states(*states):
    task = Task("downstream")
    return {Edge(Task(f"t{i}"), task): state for i, state in enumerate(states)}


def runs(trigger, *upstream):
    try:
        return trigger(states(*upstream))
    except (signals.TRIGGERFAIL, signals.SKIP):
        return False


@pytest.mark.parametrize(
    ("trigger", "yes", "no"),
    [
        (triggers.all_successful, [(OK, SKIP)], [(OK, BAD), (BAD,)]),
        (triggers.all_failed, [(BAD, BAD)], [(OK, BAD), (SKIP,)]),
        (triggers.any_successful, [(OK, BAD), (SKIP, BAD)], [(BAD, BAD)]),
        (triggers.any_failed, [(OK, BAD)], [(OK, SKIP)]),
        (triggers.all_finished, [(OK, BAD), (BAD, BAD)], []),
        (triggers.always_run, [(BAD,)], []),
        (triggers.not_all_skipped, [(OK, SKIP)], [(SKIP, SKIP), (OK, BAD), (SKIP, BAD)]),
        (triggers.some_successful(at_least=2), [(OK, SKIP, BAD)], [(OK, BAD)]),
        (triggers.some_successful(at_least=0.5, at_most=0.5), [(OK, BAD)], [(OK, OK), (BAD,)]),
        (triggers.some_failed(at_most=1), [(OK,), (OK, BAD)], [(BAD, BAD)]),
        (triggers.some_failed(at_least=1.0), [(BAD,)], [(OK, BAD)]),
    ],
)
def test_decides(trigger, yes, no):
    """Each trigger lets through what its name says, and a task without upstream tasks."""
    assert runs(trigger)
    assert all(runs(trigger, *upstream) for upstream in yes)
    assert not any(runs(trigger, *upstream) for upstream in no)


def test_children_count_one_by_one():
    """A mapped upstream task is seen as its children."""
    mapped = Mapped(map_states=[OK, BAD])
    assert not runs(triggers.all_successful, mapped)
    assert runs(triggers.any_failed, mapped)
    assert runs(triggers.some_failed(at_least=1, at_most=1), mapped, OK)


def test_shares_are_exact():
    """55 of 100 is at least 0.55, though 0.55 * 100 is more than 55 in floating point."""
    assert runs(triggers.some_successful(at_least=0.55), *[OK] * 55, *[BAD] * 45)


@pytest.mark.parametrize("bounds", [(), (-1,), (1.5,), (True,), ("2",), (None, -0.1)])
def test_refuses_other_bounds(bounds):
    """A bound is a number of tasks or a share, and there must be one."""
    with pytest.raises(ValueError, match="some_failed"):
        triggers.some_failed(*bounds)


def test_pickle_and_name():
    """All triggers can be pickled, and have a name to be serialized by."""
    for name in triggers.__all__:
        trigger = getattr(triggers, name)
        if name.startswith("some_"):
            trigger = trigger(at_least=1)
        assert pickle.loads(pickle.dumps(trigger)).__name__ == trigger.__name__
    assert repr(triggers.some_failed(2)) == "some_failed(at_least=2, at_most=None)"

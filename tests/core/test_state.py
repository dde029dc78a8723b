"""States."""

import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from prefect.core.state import (
    Failed,
    Finished,
    Mapped,
    Pending,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
)
from prefect.core.state_kinds import Queued
from prefect.core.tracebacks import describe, format_traceback

KINDS = {
    Pending: {"pending"},
    Scheduled: {"pending", "scheduled"},
    Retrying: {"pending", "scheduled", "retrying"},
    Running: {"running"},
    Success: {"finished", "successful"},
    Mapped: {"finished", "successful", "mapped"},
    Skipped: {"finished", "successful", "skipped"},
    Failed: {"finished", "failed"},
    TimedOut: {"finished", "failed"},
    TriggerFailed: {"finished", "failed"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind):
    """Each state says of itself what its place in the tree says."""
    questions = {"pending", "scheduled", "retrying", "running", "finished", "successful"}
    questions |= {"mapped", "skipped", "failed"}
    assert {q for q in questions if getattr(kind(), f"is_{q}")()} == KINDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_pickles(kind):
    """Every state comes back from pickling equal to itself, message included."""
    state = kind("a message", result=[1, 2])
    back = pickle.loads(pickle.dumps(state))
    assert back == state
    assert back.message == "a message"


def test_equality_is_of_type_and_data():
    """Messages do not count in comparing states; type and result do."""
    assert Success("a", 1) == Success("b", 1)
    assert Success("a", 1) != Success("a", 2)
    assert Success("a", 1) != Skipped("a", 1)
    assert Success() != 1
    assert Mapped(map_states=[Success(None, 1)]) != Mapped(map_states=[Success(None, 2)])


def test_equality_of_results_that_cannot_be_compared():
    """A result whose == has no truth value makes states unequal, unless it is the same object."""

    class Array:
        def __eq__(self, other):
            return self

        def __bool__(self):
            raise ValueError("ambiguous")

        __hash__ = None

    array = Array()
    assert Success(None, array) == Success(None, array)
    assert Success(None, array) != Success(None, Array())


def test_repr_has_type_and_message():
    """The repr is short and has no result in it, which may be huge or secret."""
    assert repr(Failed("boom", result="x" * 1000)) == "<Failed: 'boom'>"
    assert repr(Success()) == "<Success>"


def test_start_time_defaults_to_now_and_must_be_aware():
    """A scheduled state starts now if it does not say when, and refuses naive datetimes."""
    assert abs(Scheduled().start_time - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(ValueError, match="timezone"):
        Retrying(start_time=datetime(2026, 1, 1))  # noqa: DTZ001


def boom():
    raise ValueError("no")


def failed():
    try:
        boom()
    except ValueError as error:
        return Failed("failed", error)


def test_traceback_survives_pickling():
    """The text of a failure's traceback is the same after pickling, which drops the traceback."""
    state = failed()
    assert "in boom" in state.traceback
    assert state.traceback.endswith("ValueError: no\n")
    back = pickle.loads(pickle.dumps(state))
    assert back.traceback == state.traceback


def test_traceback_is_of_exceptions_only():
    """A state whose result is no exception has no traceback."""
    assert Success(None, 1).traceback is None
    assert Failed("failed").traceback is None


def test_traceback_without_frames():
    """An exception that was never raised is written without frames."""
    assert format_traceback(ValueError("no")) == "ValueError: no\n"


def test_tree():
    """The tree drawn at the top of the module is that of the classes."""
    drawn = State.__module__
    text = __import__(drawn, fromlist=["x"]).__doc__
    names = [name for name in text.replace("│", " ").split() if name[0].isupper()]
    for kind in [*KINDS, Finished]:
        assert kind.__name__ in names


def test_describe():
    """An exception is described by its type and text, whatever its __str__ does."""

    class Broken(Exception):  # noqa: N818
        def __str__(self):
            raise RuntimeError

    assert describe(ValueError("no")) == "ValueError: no"
    assert describe(ValueError()) == "ValueError"
    assert describe(Broken()) == "Broken"


def test_a_description_is_made_a_state_again():
    """`State.deserialize` returns what `serialize` described, children and inner states too, but no result."""
    moment = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    retrying = Retrying("later", ValueError("no"), moment, 3, context={"tags": ["a"]})
    for state in (
        retrying,
        Queued(state=retrying, start_time=moment),
        Mapped(map_states=[retrying]),
    ):
        told = json.loads(json.dumps(state.serialize()))
        again = State.deserialize(told)
        assert again.serialize() == told
        assert again.result is None
    assert State.deserialize(retrying.serialize()).start_time == moment


@pytest.mark.parametrize(
    ("told", "error"), [(None, TypeError), ({}, ValueError), ({"type": "Sucess"}, ValueError)]
)
def test_what_describes_no_state_is_refused(told, error):
    """A description is a dict whose type is a kind of state."""
    with pytest.raises(error):
        State.deserialize(told)

"""Signals."""

import pickle
from datetime import UTC, datetime

import pytest

from prefect.engine import signals
from prefect.engine.state import Failed, Retrying, Skipped, Success, TriggerFailed

STATES = {
    signals.FAIL: Failed,
    signals.TRIGGERFAIL: TriggerFailed,
    signals.SUCCESS: Success,
    signals.SKIP: Skipped,
    signals.RETRY: Retrying,
}


@pytest.mark.parametrize("kind", STATES)
def test_state(kind):
    """Each signal carries its state, with the message and result that it was given."""
    signal = kind("a message", result=3)
    assert type(signal.state) is STATES[kind]
    assert (signal.state.message, signal.state.result) == ("a message", 3)
    assert str(signal) == "a message"


@pytest.mark.parametrize("kind", STATES)
def test_pickles(kind):
    """Every signal can be pickled, with its state."""
    back = pickle.loads(pickle.dumps(kind("a message")))
    assert type(back) is kind
    assert back.state.message == "a message"


def test_result_of_a_failure_is_the_signal():
    """FAIL and TRIGGERFAIL are the exception that a failed state's result is."""
    for kind in (signals.FAIL, signals.TRIGGERFAIL):
        signal = kind("no")
        assert signal.state.result is signal
    assert signals.SKIP("no").state.result is None


def test_retry_at():
    """RETRY says when."""
    when = datetime(2030, 1, 1, tzinfo=UTC)
    assert signals.RETRY("later", start_time=when).state.start_time == when

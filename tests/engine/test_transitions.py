"""Whether a task runs."""

import pytest

from prefect import Flow, task
from prefect.engine import signals
from prefect.engine.state import Skipped, Success, TriggerFailed
from prefect.triggers import all_finished, all_successful, any_successful, not_all_skipped


@task
def ok():
    return 1


@task
def bad():
    raise ValueError("no")


@task
def skip():
    raise signals.SKIP("nothing to do")


def state_after(*upstream, **settings):
    @task(**settings)
    def last(xs):
        return xs

    with Flow("test") as flow:
        t = last([u() for u in upstream])
        collected = next(iter(flow.upstream_tasks(t)))
        collected.skip_on_upstream_skip = settings.get("skip_on_upstream_skip", True)
        collected.trigger = settings.get("trigger", all_successful)
    return flow.run().result[t]


def test_failures_spread():
    """What follows a failure is not run."""
    state = state_after(ok, bad)
    assert type(state) is TriggerFailed
    assert state.message == "not every upstream task succeeded"


def test_skips_spread():
    """What follows a skipped task is skipped."""
    state = state_after(ok, skip)
    assert type(state) is Skipped
    assert "an upstream task was skipped" in state.message


def test_skips_do_not_spread_if_told():
    """With skip_on_upstream_skip=False a task gets None for what was skipped."""
    assert state_after(ok, skip, skip_on_upstream_skip=False).result == [1, None]


def test_triggers_decide():
    """A task with another trigger runs, and gets exceptions for what failed."""
    state = state_after(ok, bad, trigger=all_finished)
    assert type(state) is Success
    assert state.result[0] == 1
    assert isinstance(state.result[1], ValueError)
    assert state_after(ok, bad, trigger=any_successful).is_successful()


def test_skipped_counts_as_success():
    """Triggers see a skipped task as a success, unless they ask."""
    assert state_after(skip, skip, skip_on_upstream_skip=False).is_successful()
    state = state_after(skip, skip, skip_on_upstream_skip=False, trigger=not_all_skipped)
    assert type(state) is Skipped


def raise_skip(states):
    raise signals.SKIP("not today")


def raise_error(states):
    raise KeyError("oops")


@pytest.mark.parametrize(
    ("trigger", "kind", "message"),
    [
        (lambda states: False, TriggerFailed, "returned False"),
        (lambda states: None, TriggerFailed, "returned False"),
        (raise_error, TriggerFailed, "the trigger raised KeyError: 'oops'"),
        (raise_skip, Skipped, "not today"),
    ],
)
def test_custom_triggers(trigger, kind, message):
    """A custom trigger says no by its value, a signal, or an exception."""

    @task(trigger=trigger, max_retries=3)
    def last(x):
        raise AssertionError

    with Flow("test") as flow:
        t = last(ok())
    state = flow.run().result[t]
    assert type(state) is kind
    assert message in state.message


def test_custom_triggers_see_edges_and_states():
    """A trigger gets the state of each upstream task by its edge."""
    seen = {}

    @task(trigger=lambda states: seen.update(states) or True)
    def last(x):
        pass

    with Flow("test") as flow:
        t = last(ok(), upstream_tasks=[bad()])
    flow.run()
    assert set(seen) == flow.edges_to(t)
    assert [type(state).__name__ for state in seen.values()] == ["Success", "Failed"]

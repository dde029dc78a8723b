"""Decides whether a task runs, given what became of its upstream tasks."""

from __future__ import annotations

from prefect.core.signals import Signal
from prefect.core.state import Skipped, TriggerFailed, describe
from prefect.core.triggers import flat_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.edge import Edge
    from prefect.core.state import State
    from prefect.core.task import Task


def gate(task: Task, upstream_states: dict[Edge, State]) -> State | None:
    """Return the state of a task that must not run, or None if it runs."""
    return skipped(task, upstream_states) or triggered(task, upstream_states)


def skipped(task: Task, upstream_states: dict[Edge, State]) -> State | None:
    """Return Skipped if the task follows the skipping of an upstream task."""
    if task.skip_on_upstream_skip:
        for state in flat_states(upstream_states):
            if isinstance(state, Skipped):
                return Skipped("an upstream task was skipped (and skip_on_upstream_skip is set)")
    return None


def triggered(task: Task, upstream_states: dict[Edge, State]) -> State | None:
    """Return the state of a task whose trigger says no."""
    try:
        if task.trigger(upstream_states):
            return None
    except Signal as signal:
        return signal.state
    except Exception as error:  # noqa: BLE001  # anybody's code
        return TriggerFailed(f"the trigger raised {describe(error)}", error)
    return TriggerFailed("the trigger returned False")

"""What a task may come to: whether it runs at all, and what its state handlers make of it."""

from __future__ import annotations

from prefect.core.signals import Signal
from prefect.core.state import Failed, Skipped, State, TriggerFailed
from prefect.core.tracebacks import describe
from prefect.core.triggers import count_states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.flow import Flow
    from prefect.core.graph import Edge
    from prefect.core.task import Task


def gate(task: Task, upstream_states: dict[Edge, State]) -> State | None:
    """Return the state of a task that must not run, or None if it runs."""
    return skipped(task, upstream_states) or triggered(task, upstream_states)


def skipped(task: Task, upstream_states: dict[Edge, State]) -> State | None:
    """Return Skipped if the task follows the skipping of an upstream task."""
    if task.skip_on_upstream_skip and count_states(upstream_states).skipped:
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


def change_state(obj: Task | Flow, old: State, new: State) -> State:
    """Tell the handlers of a task or flow of its new state, and return what they make of it.

    Each may return another state, which the next one then sees; None leaves it. One that raises
    an exception ends it: the state is then that of a signal, or else Failed.
    """
    for handler in obj.state_handlers:
        try:
            returned = handler(obj, old, new)  # type: ignore[arg-type]  # each has its own kind
            if returned is not None and not isinstance(returned, State):
                raise TypeError(f"{handler!r} returned {returned!r}, which is not a State")  # noqa: TRY301
        except Signal as signal:
            return signal.state
        except Exception as error:  # noqa: BLE001  # anybody's code
            return Failed(f"a state handler raised {describe(error)}", error)
        if returned is not None:
            new = returned
    return new

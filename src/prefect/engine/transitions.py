"""What a task may come to: whether it runs at all, and what its state handlers make of it."""

from __future__ import annotations

from prefect.core.context import values
from prefect.core.own import has_handlers
from prefect.core.signals import Signal
from prefect.core.state import Failed, Running, Skipped, State, TriggerFailed
from prefect.core.tracebacks import describe
from prefect.core.triggers import count_states
from prefect.engine.job import retry, where_it_was

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.flow import Flow
    from prefect.core.graph import Edge
    from prefect.core.task import Task
    from prefect.engine.nodes import Node
    from prefect.engine.runner import Run


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


def change(run: Run, node: Node, old: State, new: State) -> State:
    """Tell the handlers of a node's task of a change, and return what they make of it."""
    task = node.step.task
    if not has_handlers(task):
        return new
    inputs = {} if task.task_run_name is None else node.known_inputs()
    token = values.set(where_it_was(run.job(node, inputs)))
    try:
        return change_state(task, old, new)
    finally:
        values.reset(token)


def may_run(run: Run, node: Node) -> bool:
    """Ask state handlers whether a node is to run; else it has what they make of that."""
    running = change(run, node, node.before(), Running("the task is running"))
    if isinstance(running, Running):
        run.observed[node] = running
        return True
    run.settle(node, running)
    return False


def after_handlers(run: Run, node: Node, state: State) -> State:
    """Return what state handlers make of what a node has come to."""
    state = change(run, node, run.observed.pop(node), state)
    if isinstance(state, Failed) and (retrying := retry(run.job(node, {}), state)):
        return change(run, node, state, retrying)
    return state

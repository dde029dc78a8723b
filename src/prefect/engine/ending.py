"""What a run comes to: by its reference tasks, or cancelled before its end."""

from __future__ import annotations

from prefect.core.parameter import works
from prefect.core.refs import Ref, Released
from prefect.core.state import Failed, Finished, Mapped, Running, Success
from prefect.engine.transitions import change
from prefect.errors import ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.engine.executors.base import Session
    from prefect.engine.nodes import Node, Step
    from prefect.engine.runner import Run

NAMED = 5
"""How many failed tasks the message of a failed flow names."""


class RunTimeoutError(Exception):
    """A run has taken as long as it might."""


def keep_values(session: Session, nodes: list[Step]) -> None:
    """Have the values here that were not let go, and are to outlive the session; fail lost ones."""
    held = [node.state.held for node in nodes if node.state and isinstance(node.state.held, Ref)]
    if held:
        session.prefetch(held)
        for node in nodes:
            if isinstance(node.state, Success):
                _require_value(node)


def _require_value(node: Node) -> None:
    """Fail a node whose value is lost; of a mapped one, each child."""
    state = node.state
    if isinstance(state, Mapped):
        if node.children is not None:
            for child in node.children:
                _require_value(child)
            state.map_states = [c.state for c in node.children if c.state is not None]
    elif state is not None and isinstance(state.held, Ref) and not isinstance(state.held, Released):
        try:
            state.held.fetch()
        except ResultUnavailableError as error:
            node.state = Failed(f"its value is lost: {error}", error)


def final_state(flow: Flow, nodes: list[Step]) -> State:
    """Decide a flow's state by its reference tasks; mapped children count one by one."""
    states = {node.task: node.state for node in nodes}
    reference = flow.reference_tasks()
    failed: list[str] = []
    unusual = not all(type(states[task]) is Success for task in reference)
    for node in [node for node in nodes if node.task in reference] if unusual else ():
        if node.children is not None:
            failed.extend(child.label for child in node.children if isinstance(child.state, Failed))
        elif isinstance(node.state, Failed):
            failed.append(node.label)
    if failed:
        from prefect.printable import printable  # noqa: PLC0415  # where something has failed

        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        named = ", ".join(map(printable, failed[:NAMED]))  # a newline in a name would begin a line
        told = f"Some reference tasks failed: {named}{more}."
        state: State = Failed(told, states)
    else:
        state = Success("All reference tasks succeeded.", states)
    if flow.terminal_state_handler is not None:
        return _handled(flow, state, nodes)
    return state


def _handled(flow: Flow, state: State, nodes: list[Step]) -> State:
    """Return what a flow's own handler makes of its final state; a failure if it fails."""
    assert flow.terminal_state_handler is not None  # noqa: S101  # as it is called
    states, reference = state.result, flow.reference_tasks()
    of_reference = (node for node in nodes if node.task in reference)
    of_each = ([node] if node.children is None else node.children for node in of_reference)
    decisive = {node.state for each in of_each for node in each if node.state is not None}
    try:
        state = flow.terminal_state_handler(flow, state, decisive) or state
    except Exception as error:  # noqa: BLE001  # anybody's code
        return Failed(f"The terminal state handler failed: {error!r}", states)
    if not isinstance(state.result, dict):
        state.result = states
    return state


def cancel(run: Run, nodes: list[Step], stop: BaseException) -> State:
    """End all nodes that have not finished as Cancelled, and return the flow's state.

    Their state handlers and the observer are told, as of each change.
    """
    from prefect.core.state_kinds import Cancelled  # noqa: PLC0415  # seldom needed

    why = str(stop) if isinstance(stop, RunTimeoutError) else "the run was interrupted"
    waiting = {*run.ready, *(node for _, _, node in run.delayed)}
    waiting.update(() if run.limits is None else run.limits.waiting())
    finished = interrupted = left = 0
    every = [
        each for node in nodes for each in ((node,) if node.children is None else node.children)
    ]
    for node in every:
        counted = works(node.step.task)  # as records count
        if node.state is not None:
            finished += counted or isinstance(node.state, Failed)
            continue
        has_begun = False
        old = node.before()
        if not node.waiting and node not in waiting and run.session.has_begun(node):
            old = run.observed.get(node) or Running("the task is running")
            has_begun = True
        interrupted += counted and has_begun
        left += counted and not has_begun
        state = change(run, node, old, Cancelled(why))
        node.state = state if isinstance(state, Finished) else Cancelled(why)
        run.tell(node, node.state)
    for node in nodes:
        if node.children is not None and isinstance(node.state, Mapped):
            node.state.gather([child.state for child in node.children if child.state is not None])
    return Cancelled(
        f"{why[0].upper()}{why[1:]}: {finished} task{'' if finished == 1 else 's'} had finished, {interrupted} "
        f"{'was' if interrupted == 1 else 'were'} running and {left} had not started.",
        {node.task: node.state for node in nodes},
    )

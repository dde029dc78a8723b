"""Begins a run with states of some of its tasks, such as those of an earlier run: `Flow.run(task_states=...)`.

A task whose state is finished is not run. One that is to be tried again, or waits for a time, goes on from there.
"""

from __future__ import annotations

from copy import copy

from prefect.core.state import Finished, Mapped, Retrying, Scheduled, now
from prefect.core.state_kinds import Cached, Paused, Resume
from prefect.engine.nodes import AGAIN
from prefect.engine.transitions import gate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.nodes import Node
    from prefect.engine.runner import Run


class Given:
    """What a run has of the states of its tasks before it begins.

    Args:
        run: the run.
        states: those of some tasks.
    """

    def __init__(self, run: Run, states: Mapping[Task, State]) -> None:
        self._run = run
        self._begin = run.begin_within_limits if run.limits else run.begin
        self._states = states

    def begin(self, node: Node) -> bool:
        """Do as `Run.begin` does, unless the node need not run, or not yet."""
        state = self._of(node) if node.retrying is None else None
        if state is None:
            return self._begin(node)
        if self._holds(node, state):
            self._run.finish(node, copy(state))  # of whose value the run may let go
            return False
        if isinstance(state, Scheduled) and (
            isinstance(state, Resume) or not gate(node.step.task, node.upstream_states())
        ):
            retrying = _as_retrying(state)
            if retrying.start_time > now():
                self._run.delay(node, retrying)
                return False
            node.retrying = retrying
        return self._begin(node)

    def _of(self, node: Node) -> State | None:
        """Return the state of a task, or of a child of one that was mapped."""
        state = self._states.get(node.step.task)
        if node.map_index is not None and isinstance(state, Mapped):
            children = state.map_states
            return children[node.map_index] if node.map_index < len(children) else None
        if node.mapped and not isinstance(state, Finished):
            return None  # it is that of each child
        return state

    def _holds(self, node: Node, state: State) -> bool:
        """Tell whether a state is the one that the node ends in."""
        task = node.step.task
        if not isinstance(state, Cached):
            mapped = node.mapped and isinstance(state, Mapped)
            return isinstance(state, Finished) and not mapped and not task.restarts
        if task.cache_validator is None or node.mapped:
            return False
        inputs = {**node.known_inputs()}
        return bool(task.cache_validator(state, inputs, self._run.context["parameters"]))


def _as_retrying(state: Scheduled) -> Retrying:
    """Return what a node goes on from."""
    if isinstance(state, Retrying):
        return state
    told = {**state.context, AGAIN: True}
    if isinstance(state, Resume) or (isinstance(state, Paused) and state.start_time is not None):
        told["resume"] = True
    return Retrying(state.message, start_time=state.start_time, run_count=0, context=told)

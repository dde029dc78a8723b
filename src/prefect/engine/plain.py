"""Runs plain tasks in the thread of the loop, with as few steps as there can be.

Plain is what most tasks of most flows are: a first try that gets what it wants of tasks that succeeded, without
state handlers, timeout or a name of its own. It comes to the same as what `Run.begin`, a session, `begin_job`
and `Run.finish` do together, to which all else is left; that takes three times as long.
"""

from __future__ import annotations

from types import CoroutineType, GeneratorType

from prefect.core.context import values
from prefect.core.state import Running, Success
from prefect.engine.executors.base import DETACHED
from prefect.engine.job import Awaiting, is_async, outcome, state_of
from prefect.engine.mapping import gather
from prefect.engine.nodes import is_plain
from prefect.engine.releasing import ATOMS, done_with_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from prefect.engine.executors.base import Session
    from prefect.engine.nodes import Node
    from prefect.engine.runner import Run


def run_plain(run: Run, session: Session, node: Node) -> Node | None:  # noqa: C901, PLR0912, PLR0915  # calls cost
    """Do a node, and what is ready then; return the first that is not plain, if there is one."""
    ready, releasing, tells = run.ready, run.releasing, run.tells
    set_context, new = values.set, Success.__new__
    around = values.get()
    try:
        while True:
            if not node.plain or node.retrying is not None:
                return node
            parent = node.parent
            step: Any = parent or node
            usual, large, inputs = True, False, step.constants
            if node.kinds:
                inputs, usual = node.inputs_with_items()
                large = True
            elif node.sources:
                inputs = inputs.copy()
                for key, source in zip(step.keys, node.sources):  # noqa: B905  # it takes as long
                    state = source.state
                    if type(state) is not Success and not is_plain(state):
                        usual = False
                    if key is not None:
                        inputs[key] = state.held
                        if type(state.held) not in ATOMS:  # of which nobody counts who takes them
                            large = True
            if not usual:
                return node
            if session.awaits and not is_async(step.task):
                session.wake()
            if tells:
                set_context(around)
                run.starts(node, Running("the task is running"))
            set_context(node)
            raised: BaseException | None = None
            try:
                value = step.run(**inputs)
                if type(value) is GeneratorType:
                    value = list(value)
            except BaseException as error:  # noqa: BLE001  # whatever a task raises is its failure
                # Without the frame of this loop, which would keep the values of others.
                value, raised = None, error.with_traceback(_within(error))
            if raised is not None or type(value) is CoroutineType:
                set_context(around)
                _otherwise(run, session, node, inputs, value, raised)
                if not (ready and session.in_this_thread):
                    return None
                node = ready.pop()
                continue
            node.state = state = new(Success)  # what its constructor does
            state.message = "the task succeeded"
            state.held = value
            state._traceback = None  # noqa: SLF001
            if tells:
                set_context(around)
                run.announce(node, state)
            del value, inputs, state  # nothing is kept here while the next one runs
            if node.sources:
                if large and releasing:
                    done_with_sources(node)
                node.sources = ()
            if parent is None and node.followers:
                run.notify(node.followers)
            for other in reversed(node.downstream):
                other.waiting -= 1
                if not other.waiting:
                    ready.append(other)
            if parent is not None:
                parent.unfinished -= 1
                if not parent.unfinished:
                    set_context(around)
                    gather(run, parent)
            if not ready:
                return None
            node = ready.pop()
    finally:
        set_context(around)


def _within(error: BaseException) -> TracebackType | None:
    return None if error.__traceback__ is None else error.__traceback__.tb_next


def _otherwise(
    run: Run,
    session: Session,
    node: Node,
    inputs: dict[str, Any],
    value: Any,
    raised: BaseException | None,
) -> None:
    """Do what follows where a task has raised something, or is to be awaited."""
    job = run.job(node, inputs)
    around = values.set(job)
    try:
        state = outcome(job, Awaiting(job, value) if raised is None else state_of(job, raised))
    finally:
        values.reset(around)
    if isinstance(state, Awaiting):
        session.add(node, state)
        state = DETACHED
    run.take_back(node, state)

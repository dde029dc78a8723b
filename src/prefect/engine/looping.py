"""Runs a task that raises LOOP again and again: each pass has what the last one came to."""

from __future__ import annotations

from prefect.core.context import values
from prefect.core.signals import LOOP
from prefect.core.state import Failed
from prefect.core.state_kinds import Looped
from prefect.engine.job import Awaiting, Job, run_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import Retrying, State


class Pass(Job):
    """One of several passes of a task that loops, from the second on.

    Args:
        job: the job.
        count: which pass it is.
        result: what the last one came to.
    """

    __slots__ = ("count", "result")

    def __init__(self, job: Job, count: int, result: Any) -> None:
        for name in Job.__slots__:
            setattr(self, name, getattr(job, name))
        self.count = count
        self.result = result

    def context_values(self) -> dict[str, Any]:
        """Return what `prefect.context` holds while the task runs."""
        more = {"task_loop_count": self.count, "task_loop_result": self.result}
        return {**super().context_values(), **more}


def run_again(job: Job, looped: Looped) -> State | Awaiting:
    """Do a job again until it ends otherwise than by LOOP; of an async task, begin the next pass."""
    state: State | Awaiting = looped
    while isinstance(state, Looped):
        job = _next(job, state)
        token = values.set(job)
        try:
            state = run_once(job)
        finally:
            values.reset(token)
    return state if isinstance(state, Awaiting) else _ended(job, state)


async def await_again(job: Job, looped: Looped) -> State:
    """Do the same with an async task."""
    state: State = looped
    while isinstance(state, Looped):
        job = _next(job, state)
        token = values.set(job)
        try:
            begun = run_once(job)
            state = await begun.once() if isinstance(begun, Awaiting) else begun
        finally:
            values.reset(token)
    return _ended(job, state)


def _next(job: Job, looped: Looped) -> Pass:
    return Pass(job, (job.count if isinstance(job, Pass) else looped.loop_count) + 1, looped.result)


def _ended(job: Job, state: State) -> State:
    if isinstance(state, Failed) and isinstance(job, Pass):  # a retry goes on there
        state.context.update(task_loop_count=job.count, task_loop_result=job.result)
    return state


def go_on(retrying: Retrying) -> None:
    """Begin a try where the last one ended, if that looped.

    Raises:
        LOOP: it did.
    """
    told = retrying.context
    if "task_loop_count" in told:
        signal = LOOP(None, told["task_loop_result"])
        signal.state = Looped(None, told["task_loop_result"], max(told["task_loop_count"] - 1, 1))
        raise signal

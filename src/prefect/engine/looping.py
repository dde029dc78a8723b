"""Runs a task that raises LOOP again and again: each pass has what the last one came to.

A task with state handlers comes back after each pass, since they are called where the flow runs.
"""

from __future__ import annotations

from prefect.core.context import values
from prefect.core.own import has_handlers
from prefect.core.state import Failed, Retrying
from prefect.core.state_kinds import Looped
from prefect.engine.job import Awaiting, Job, run_once
from prefect.engine.nodes import AGAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State


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

    def remember(self, failed: Failed) -> None:
        """Have a retry go on with this pass, unless it is to go on with a later one."""
        if "task_loop_count" not in failed.context:
            failed.context.update(task_loop_count=self.count, task_loop_result=self.result)

    def context_values(self) -> dict[str, Any]:
        """Return what `prefect.context` holds while the task runs."""
        more = {"task_loop_count": self.count, "task_loop_result": self.result}
        return {**super().context_values(), **more}


def run_again(job: Job, looped: Looped) -> State | Awaiting:
    """Do a job again until it ends otherwise than by LOOP; of an async task, begin the next pass."""
    state: State | Awaiting = looped
    while isinstance(state, Looped):
        if has_handlers(job.task):
            return _counted(job, state)
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
        if has_handlers(job.task):
            return _counted(job, state)
        job = _next(job, state)
        token = values.set(job)
        try:
            begun = run_once(job)
            state = await begun.state(once=True) if isinstance(begun, Awaiting) else begun
        finally:
            values.reset(token)
    return _ended(job, state)


def _next(job: Job, looped: Looped) -> Pass:
    return Pass(job, _counted(job, looped).loop_count + 1, looped.result)


def _counted(job: Job, looped: Looped) -> Looped:
    """Return the state of a pass with its number."""
    if isinstance(job, Pass):
        looped.loop_count = job.count
    return looped


def _ended(job: Job, state: State) -> State:
    if isinstance(state, Failed):
        job.remember(state)
    return state


def its_pass(job: Job) -> Job:
    """Return a job that begins where the last one ended, if that looped."""
    told = job.retrying.context if job.retrying is not None else {}
    if "task_loop_count" not in told:
        return job
    return Pass(job, told["task_loop_count"], told["task_loop_result"])


def next_pass(looped: Looped, tries: int) -> Retrying:
    """Return the state in which a node waits for its next pass, which is no further try.

    Args:
        looped: what the last pass came to.
        tries: how many there have been before this one.
    """
    told = {"task_loop_count": looped.loop_count + 1, "task_loop_result": looped.result}
    return Retrying(looped.message, run_count=tries, context={**told, AGAIN: True})

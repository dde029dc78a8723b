"""One try at one task: everything it needs, and the function that does it anywhere."""

from __future__ import annotations

from prefect.core.context import values
from prefect.core.signals import Signal
from prefect.core.state import Failed, Pending, Retrying, Running, Success, TimedOut, now
from prefect.core.tracebacks import describe
from prefect.engine.interruption import Interruption
from prefect.engine.transitions import change_state
from prefect.errors import TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State
    from prefect.core.task import Task


class Job:
    """A try at a task, or at one child of a mapped task. Can be sent to another process.

    Args:
        task: the task.
        slug: identifies it in its flow.
        map_index: which child; None for a task that is not mapped.
        inputs: the arguments for `run`.
        context: what all tasks of this run of the flow have in `prefect.context`.
        run_count: which try this is, from 1.
        retrying: the state before it; None for a first try.
    """

    __slots__ = ("context", "inputs", "map_index", "retrying", "run_count", "slug", "task")

    def __init__(
        self,
        task: Task,
        slug: str,
        map_index: int | None,
        inputs: dict[str, Any],
        context: dict[str, Any],
        run_count: int,
        retrying: Retrying | None = None,
    ) -> None:
        self.task = task
        self.slug = slug
        self.map_index = map_index
        self.inputs = inputs
        self.context = context
        self.run_count = run_count
        self.retrying = retrying

    def context_values(self) -> dict[str, Any]:
        """Return what `prefect.context` holds while the task runs."""
        found = {
            **self.context,
            "task_name": self.task.name,
            "task_slug": self.slug,
            "map_index": self.map_index,
            "task_run_count": self.run_count,
        }
        if self.task.task_run_name is not None:
            from prefect.core.classic_task import run_name  # noqa: PLC0415  # few tasks have one

            found["task_run_name"] = run_name(self.task, self.inputs, found)
        return found


def run_job(job: Job) -> State:
    """Do a job and return the task's state: a final one, or Retrying.

    Raises:
        KeyboardInterrupt, Interruption: they end the run, not the task.
    """
    token = values.set(job)
    try:
        if job.task.state_handlers:
            return _run_observed(job)
        state = _run(job)
        if type(state) is not Success and isinstance(state, Failed):
            return retry(job, state) or state
        return state
    finally:
        values.reset(token)


def _run_observed(job: Job) -> State:
    """Do a job of a task that has state handlers, each of which may change the outcome."""
    task = job.task
    running = change_state(task, job.retrying or Pending(), Running("the task is running"))
    if not isinstance(running, Running):
        return running
    state = change_state(task, running, _run(job))
    if isinstance(state, Failed) and (retrying := retry(job, state)) is not None:
        state = change_state(task, state, retrying)
    return state


def _run(job: Job) -> State:
    task = job.task
    try:
        if task.timeout is None and not task.log_stdout:
            return Success("the task succeeded", task.run(**job.inputs))
        return Success("the task succeeded", _run_guarded(job))
    except Signal as signal:
        state = signal.state
        if isinstance(state, Retrying):
            state.run_count = job.run_count
        return state
    except (KeyboardInterrupt, Interruption):
        raise  # not this task's: what it is part of has to end
    except TaskTimeoutError as error:
        return TimedOut(str(error), error)
    except BaseException as error:  # noqa: BLE001  # whatever a task raises is its failure
        return Failed(describe(error), error)


def _run_guarded(job: Job) -> Any:
    """Run a task that has a timeout or whose output is logged."""
    from prefect.engine.stdout import stdout_logged  # noqa: PLC0415  # few tasks need it
    from prefect.engine.timeouts import run_within  # noqa: PLC0415  # or this

    task = job.task
    if not task.log_stdout:
        return run_within(task.timeout, task.run, job.inputs)
    with stdout_logged(task.logger):
        return run_within(task.timeout, task.run, job.inputs)


def retry(job: Job, state: Failed) -> Retrying | None:
    """Return the state of a failed task that is to be tried again, or None if it is not."""
    task = job.task
    if job.run_count > task.max_retries:
        return None
    if task.retry_on is not None and not isinstance(state.result, task.retry_on):
        return None
    return Retrying(
        f"{state.message} (try {job.run_count} of {task.max_retries + 1})",
        state.result,
        start_time=now() + task.retry_delay if task.retry_delay else now(),
        run_count=job.run_count,
    )

"""One try at one task: everything it needs, and the function that does it anywhere."""

from __future__ import annotations

from contextvars import copy_context
from types import CoroutineType, GeneratorType

from prefect.core.context import values
from prefect.core.own import has_handlers
from prefect.core.signals import Signal
from prefect.core.state import Failed, Retrying, State, Success, TimedOut, now
from prefect.core.state_kinds import Looped
from prefect.core.tracebacks import describe
from prefect.engine.interruption import Interruption
from prefect.errors import ResultUnavailableError, TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from prefect.core.task import Task

    class Keeping(Protocol):
        """What a job of a run that keeps results has to do with them."""

        def inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
            """Return inputs without references to what lies in a store."""

        def keep(self, state: State) -> State:
            """Store the value of a success, and return the state."""

        def leave(self, state: State) -> None:
            """Take a large value that was stored out of a state that goes to another process."""


_COROUTINE = 0x80  # as inspect.CO_COROUTINE has it


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

    Attributes:
        keeping: keeps its result, in a run that keeps some (see `prefect.keeping`).
    """

    __slots__ = (
        "context",
        "inputs",
        "keeping",
        "map_index",
        "retrying",
        "run_count",
        "slug",
        "task",
    )

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
        self.keeping: Keeping | None = None

    def remember(self, failed: Failed) -> None:
        """Have a retry go on where this ended; see `Pass`."""

    def context_values(self) -> dict[str, Any]:
        """Return what `prefect.context` holds while the task runs."""
        found = {
            **self.context,
            "task_name": self.task.name,
            "task_slug": self.slug,
            "map_index": self.map_index,
            "task_run_count": self.run_count,
            "task_full_name": self.task.name
            + ("" if self.map_index is None else f"[{self.map_index}]"),
            "task_tags": self.task.tags,
            "task_id": self.slug,
        }
        if "traceparent" in found:
            from prefect.engine.spans import span_of  # noqa: PLC0415  # few runs are told of

            found["traceparent"] = span_of(self) or found["traceparent"]
        if self.retrying is not None and "resume" in self.retrying.context:
            found["resume"] = True
        if self.task.task_run_name is not None:
            from prefect.core.classic_task import run_name  # noqa: PLC0415  # few tasks have one

            found["task_run_name"] = run_name(self.task, self.inputs, found)
        return found


class Awaiting:
    """A job of an async task that has begun: what is to be awaited, and in which context.

    Args:
        job: the job.
        coroutine: what the task's `run` returned.
    """

    __slots__ = ("context", "coroutine", "job")

    def __init__(self, job: Job, coroutine: CoroutineType[Any, Any, Any]) -> None:
        self.job = job
        self.coroutine = coroutine
        self.context = copy_context()

    async def state(self, *, once: bool = False) -> State:
        """Await it, in its context, and return what the task has come to.

        Args:
            once: whether a task that loops is to be left at that; else it runs until it does not.
        """
        task = self.job.task
        try:
            if task.timeout is None and not task.log_stdout:
                value = await self.coroutine
            else:
                from prefect.engine.awaiting import awaited  # noqa: PLC0415  # there is a loop

                value = await awaited(task, self.coroutine)
            state: State = Success("the task succeeded", _whole(value))
        except BaseException as error:  # noqa: BLE001  # as of any task
            state = state_of(self.job, error)
        if once:
            return state
        if isinstance(state, Looped):
            from prefect.engine.looping import await_again  # noqa: PLC0415  # few tasks loop

            state = await await_again(self.job, state)
        return _concluded(self.job, state)

    def close(self) -> None:
        """Forget about it, if it has not begun: Python warns of what is never awaited."""
        self.coroutine.close()


def is_async(task: Task) -> bool:
    """Tell whether a task's `run` is an async function."""
    code = getattr(getattr(task.run, "func", task.run), "__code__", None)  # of a partial, too
    return code is not None and bool(code.co_flags & _COROUTINE)


def run_job(job: Job) -> State:
    """Do a job and return the task's state: a final one, or Retrying.

    Raises:
        KeyboardInterrupt, Interruption: they end the run, not the task.
    """
    state = begin_job(job)
    if isinstance(state, Awaiting):
        from prefect.engine.awaiting import run_alone  # noqa: PLC0415  # few tasks are async

        return run_alone(state)
    return state


def begin_job(job: Job) -> State | Awaiting:
    """Do the same, but of an async task return what is to be awaited.

    State handlers are not called here, but where the flow runs; of a task that has some, it is decided
    there, too, whether a failure is tried again, and whether it loops.

    Raises:
        KeyboardInterrupt, Interruption: they end the run, not the task.
    """
    job = where_it_was(job)
    token = values.set(job)
    try:
        if job.keeping is not None:
            try:
                job.inputs = job.keeping.inputs(job.inputs)
            except ResultUnavailableError as error:
                return outcome(job, Failed(describe(error), error))
        state = run_once(job)
        if type(state) is Success:
            return state if job.keeping is None else job.keeping.keep(state)
        return outcome(job, state)
    finally:
        values.reset(token)


def where_it_was(job: Job) -> Job:
    """Return a job that begins where the last try ended."""
    if job.retrying is None:
        return job
    from prefect.engine.looping import its_pass  # noqa: PLC0415  # few tasks are tried again

    return its_pass(job)


def outcome(job: Job, state: State | Awaiting) -> State | Awaiting:
    """Return what a task that has come to a state comes to in the end: it may loop, or be tried again."""
    state = _looped(job, state)
    return state if isinstance(state, Awaiting) else _concluded(job, state)


def _concluded(job: Job, state: State) -> State:
    """Return what becomes of a state: a failure may be tried again."""
    if isinstance(state, Looped):  # its state handlers decide
        return state
    if isinstance(state, Failed):
        job.remember(state)
    if job.keeping is not None:
        state = job.keeping.keep(state)
    if isinstance(state, Failed) and not has_handlers(job.task):
        return retry(job, state) or state
    return state


def _looped(job: Job, state: State | Awaiting) -> State | Awaiting:
    """Return what a task comes to in the end, if it is to run again."""
    if isinstance(state, Looped):
        from prefect.engine.looping import run_again  # noqa: PLC0415  # few tasks loop

        return run_again(job, state)
    return state


def run_once(job: Job) -> State | Awaiting:
    """Call a task, and return what it has come to; of an async one, what is to be awaited."""
    task = job.task
    try:
        if task.timeout is None and not task.log_stdout:
            value = task.run(**job.inputs)
        else:
            value = _run_guarded(job)
        kind = type(value)
        if kind is CoroutineType:
            return Awaiting(job, value)
        if kind is GeneratorType:
            value = list(value)
        return Success("the task succeeded", value)
    except BaseException as error:  # noqa: BLE001  # whatever a task raises is its failure
        return state_of(job, error)


def state_of(job: Job, error: BaseException) -> State:
    """Return the state of a task that has raised something.

    Raises:
        KeyboardInterrupt, Interruption: these.
    """
    if isinstance(error, Signal):
        state = error.state
        if isinstance(state, Retrying):
            state.run_count = job.run_count
        return state
    if isinstance(error, KeyboardInterrupt | Interruption):
        raise error  # not this task's: what it is part of has to end
    if isinstance(error, TaskTimeoutError):
        return TimedOut(str(error), error)
    return Failed(describe(error), error)


def _run_guarded(job: Job) -> Any:
    """Run a task that has a timeout or whose output is logged."""
    from prefect.engine.stdout import stdout_logged  # noqa: PLC0415  # few tasks need it
    from prefect.engine.timeouts import run_within  # noqa: PLC0415  # or this

    task = job.task

    def run(**inputs: Any) -> Any:
        return _whole(task.run(**inputs))

    if not task.log_stdout:
        return run_within(task.timeout, run, job.inputs)
    with stdout_logged(task.logger):
        return run_within(task.timeout, run, job.inputs)


def _whole(value: Any) -> Any:
    """Return the items of a generator, which is the rest of the task's work; else the value itself."""
    return list(value) if type(value) is GeneratorType else value


def retry(job: Job, state: Failed) -> Retrying | None:
    """Return the state of a failed task that is to be tried again, or None if it is not."""
    task = job.task
    if job.run_count > task.max_retries or (task.at_most_once and LOST in state.context):
        return None
    if task.retry_on is not None and not isinstance(state.result, task.retry_on):
        return None
    retrying = Retrying(
        f"{state.message} (try {job.run_count} of {task.max_retries + 1})",
        state.result,
        start_time=now() + task.retry_delay if task.retry_delay else now(),
        run_count=job.run_count,
        context=state.context,
    )
    retrying._traceback = state._traceback  # noqa: SLF001  # the text of one that came from elsewhere
    return retrying


LOST = "lost"
"""In the context of a failure: how far the try came, nobody knows."""
UNLOADABLE = "unloadable"
"""The same: the task succeeded, and what it returned cannot be loaded where the flow runs."""


def after_loss(job: Job, failed: Failed) -> State:
    """Return the state of a task whose process died: it is tried again only if it may be."""
    failed.context[LOST] = True
    return _concluded(where_it_was(job), failed)

"""Runs tasks in the thread that runs the flow."""

from __future__ import annotations

from prefect.engine.executors.base import DETACHED, Executor, Session
from prefect.engine.job import Awaiting, begin_job, is_async
from prefect.errors import TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State
    from prefect.engine.awaiting import EventLoop
    from prefect.engine.executors.inbox import Inbox
    from prefect.engine.job import Job


class LocalExecutor(Executor):
    """One task after another, in the thread that called `flow.run`, in an order that is fixed.

    Each task comes as soon as what it needs is there: results are used before others are made. Async
    tasks are awaited meanwhile, in another thread.
    """

    def start(self) -> Session:
        """Return a session."""
        return _LocalSession()

    def text(self) -> str:
        """Return its text form."""
        return "local"

    def __repr__(self) -> str:
        return "LocalExecutor()"


class _LocalSession(Session):
    capacity = 1
    in_this_thread = True
    _next: tuple[Any, Job] | None = None
    _may_have_given_up = False
    _loop: EventLoop | None = None
    _done: Inbox

    def submit(self, token: Any, job: Job) -> None:
        self._next = (token, job)

    def next_completed(self, timeout: float) -> tuple[Any, State] | None:
        if self._next is None:
            return self._awaited(timeout)
        (token, job), self._next = self._next, None  # which must not keep the inputs
        if self._may_have_given_up:  # where this is not the main thread
            from prefect.engine.timeouts import wait_for_given_up  # noqa: PLC0415  # seldom needed

            wait_for_given_up()
        if self.awaits and not is_async(job.task):
            self.wake()
        self._may_have_given_up = job.task.timeout is not None
        self.in_this_thread = not self._may_have_given_up
        state = begin_job(job) if self.deadline is None else self._until_deadline(job)
        if type(state) is Awaiting:
            self.add(token, state)
            return token, DETACHED
        return None if state is None else (token, state)  # type: ignore[return-value]

    def _until_deadline(self, job: Job) -> State | Awaiting | None:
        import time  # noqa: PLC0415  # seldom needed, as this

        from prefect.engine.timeouts import run_within  # noqa: PLC0415

        assert self.deadline is not None  # noqa: S101  # for the type checker
        try:
            left = max(self.deadline - time.monotonic(), 0.001)
            state: State | Awaiting = run_within(left, begin_job, {"job": job})
        except TaskTimeoutError:  # the run's, for a task's becomes its state
            return None
        return state

    def add(self, token: Any, awaiting: Awaiting) -> None:
        if self._loop is None:
            from prefect.engine.awaiting import EventLoop  # noqa: PLC0415  # few tasks are async
            from prefect.engine.executors.inbox import Inbox  # noqa: PLC0415

            self.awaits = True
            self._done = Inbox()
            self._loop = EventLoop(lambda token, state: self._done.put((token, state)))
        self._loop.add(token, awaiting)

    def wake(self) -> None:
        if self._loop is not None:
            self._loop.wake()

    def _awaited(self, timeout: float) -> tuple[Any, State] | None:
        self.wake()
        done: tuple[Any, State | BaseException] | None = self._done.get(timeout)
        if done is None:
            return None
        token, state = done
        if isinstance(state, BaseException):
            raise state
        return token, state

    def stop(self, *, abandon: bool) -> None:  # noqa: ARG002  # without it nothing is left
        if self._loop is not None:
            self._loop.stop()

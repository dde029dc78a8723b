"""Runs tasks in the thread that runs the flow."""

from __future__ import annotations

from prefect.engine.executors.base import Executor, Session
from prefect.engine.job import run_job
from prefect.errors import TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State
    from prefect.engine.job import Job


class LocalExecutor(Executor):
    """One task after another, in the thread that called `flow.run`, in an order that is fixed.

    Each task comes as soon as what it needs is there: results are used before others are made.
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
    _next: tuple[Any, Job] | None = None
    _may_have_given_up = False

    def submit(self, token: Any, job: Job) -> None:
        self._next = (token, job)

    def next_completed(self, timeout: float | None) -> tuple[Any, State] | None:  # noqa: ARG002
        assert self._next is not None  # noqa: S101  # for the type checker
        (token, job), self._next = self._next, None  # which must not keep the inputs
        if self._may_have_given_up:  # where this is not the main thread
            from prefect.engine.timeouts import wait_for_given_up  # noqa: PLC0415  # seldom needed

            wait_for_given_up()
        self._may_have_given_up = job.task.timeout is not None
        if self.deadline is not None:
            state = self._until_deadline(job)
            return None if state is None else (token, state)
        return token, run_job(job)

    def _until_deadline(self, job: Job) -> State | None:
        import time  # noqa: PLC0415  # seldom needed, as this

        from prefect.engine.timeouts import run_within  # noqa: PLC0415

        assert self.deadline is not None  # noqa: S101  # for the type checker
        try:
            left = max(self.deadline - time.monotonic(), 0.001)
            state: State = run_within(left, run_job, {"job": job})
        except TaskTimeoutError:  # the run's, for run_job makes a state of any other
            return None
        return state

    def stop(self, *, abandon: bool) -> None:
        pass

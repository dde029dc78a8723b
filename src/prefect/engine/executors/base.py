"""What the runner needs of an executor. To write another one, subclass these two."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from prefect.core.refs import Ref
    from prefect.core.state import State
    from prefect.engine.job import Awaiting, Job


ARCHIVES: list[Path] = []
"""Zip archives of modules that a run has brought, which workers on other machines need."""


class Executor:
    """The settings of a place where tasks run. Reusable, also by several runs at once."""

    def start(self) -> Session:
        """Make ready what one run of a flow needs."""
        raise NotImplementedError

    def text(self) -> str | None:
        """Return its text form, such as "threads:8"; None for one that has none.

        A flow that is packaged takes its executor along as text, which says all of it.
        """
        return None


DETACHED: Any = object()
"""What `next_completed` gives for a job that takes no place any more; its state comes later."""


class Session:
    """The live part of an executor, from the start to the end of one run.

    The runner calls it from one thread: `submit` for each job that can run now, `next_completed`
    for their states in whatever order they come, `prefetch` for values that are to outlive it, and `stop`,
    always, at the end.

    What a task returned may stay where it ran: the state then holds a `prefect.core.refs.Ref`, which
    comes back as an input of other jobs, and fetches the value when somebody reads it.
    """

    capacity: int | None = None
    """How many jobs it can work on at a time. The runner keeps the others back; with None it
    hands out all of them."""

    tells_running: bool = False
    """Whether `next_completed` gives Running when a job begins, as well as what it comes to; else a job
    begins when it is submitted."""

    in_this_thread: bool = False
    """Whether the runner may do jobs itself, in place of `submit` and `next_completed`, that need nothing
    but a call of the task. Of an async one it gives to `add` what is to be awaited."""

    awaits: bool = False
    """Whether anything was given to `add`: then `wake` has to be called before a task that may take long."""

    takes_ahead: bool = False
    """Whether it takes jobs before those whose values they need are done: `submit_ahead`."""

    deadline: float | None = None
    """The time, as of `time.monotonic`, when the run is to end. A session that does jobs in the thread
    that calls it interrupts them then; others are stopped by the runner."""

    def has(self, name: str, amount: int) -> bool | None:  # noqa: ARG002  # for those that know
        """Tell whether there is so much of a resource where a job runs, and it sees to it by itself.

        None if nobody there tells of that resource: then limits alone do.
        """
        return None

    def submit(self, token: Any, job: Job) -> None:
        """Take a job; `prefect.engine.job.run_job(job)` does it and gives its state.

        State handlers are the runner's business.
        """
        raise NotImplementedError

    def add(self, token: Any, awaiting: Awaiting) -> None:
        """Have an async task awaited, while `in_this_thread`; its state comes by `next_completed`."""
        raise NotImplementedError

    def wake(self) -> None:
        """Have what was given to `add` awaited from now on."""

    def submit_ahead(self, token: Any, job: Job) -> bool:
        """Take a job that gets what `promise` returned; tell whether it is taken.

        It is not told of before all that it needs has succeeded. The runner withdraws it where that
        does not come about.
        """
        raise NotImplementedError

    def promise(self, token: Any) -> Ref | None:
        """Return what stands for the value of a job that is not done; None where nothing can."""
        raise NotImplementedError

    def withdraw(self, token: Any) -> None:
        """Forget a job that was taken ahead, and cannot have begun."""
        raise NotImplementedError

    def next_completed(self, timeout: float) -> tuple[Any, State] | None:
        """Wait for any job and return its token and state; None after `timeout` seconds at the latest.

        It is called again then, once a second at least. What ends the run rather than the task,
        KeyboardInterrupt, is raised.
        """
        raise NotImplementedError

    def has_begun(self, token: Any) -> bool:  # noqa: ARG002  # for those that queue jobs
        """Tell whether a job that was submitted, and has not come back, has begun; also after `stop`."""
        return True

    def prefetch(self, held: Iterable[Any]) -> None:
        """Bring here what the references among these values stand for, to be read after `stop`."""

    def stop(self, *, abandon: bool) -> None:
        """Release everything; if `abandon`, jobs may be unfinished and are not waited for."""
        raise NotImplementedError

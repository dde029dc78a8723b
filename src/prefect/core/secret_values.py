"""The values of a run's secrets, for executors, which know of secrets nothing else."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager


class RunSecrets:
    """What the tasks of a run are to have, also on workers elsewhere.

    Args:
        values: by name.
        lacking: called on a worker, with names: returns those that have no value of their own there.
        masked: called on a worker, with values: masks them in what is printed there, as a context.
    """

    __slots__ = ("lacking", "masked", "values")

    def __init__(
        self,
        values: Mapping[str, str],
        lacking: Callable[[Sequence[str]], list[str]],
        masked: Callable[[Sequence[str]], AbstractContextManager[None]],
    ) -> None:
        self.values = values
        self.lacking = lacking
        self.masked = masked

    def __repr__(self) -> str:
        return f"<RunSecrets: {', '.join(self.values)}>"


of_run: ContextVar[RunSecrets | None] = ContextVar("prefect.secrets.of_run", default=None)
"""Those of the run that is going on in this context, or on whose behalf a worker does a job in it."""

in_task: ContextVar[Mapping[str, str] | None] = ContextVar("prefect.secrets.in_task", default=None)
"""Values by name that a worker was given for the job that it does in this context."""

"""What becomes of the jobs that a Dask cluster has lost: with workers that died, or altogether."""

from __future__ import annotations

import logging
from collections import Counter

from prefect.core.state import Failed
from prefect.core.tracebacks import describe
from prefect.engine.executors.dask.kept import loads
from prefect.engine.executors.dask.worker import EndedError
from prefect.engine.executors.travelling import arrived
from prefect.engine.job import after_loss
from prefect.errors import ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from prefect.core.state import State
    from prefect.engine.executors.dask.calls import Call

SILENT = 4
"""Looks after which nothing is going to be told of a job that has ended."""
NAMED = 5
"""How many tasks are named of those that run again at a time."""
RESTARTS = 5
"""How often a job is sent again that waited for another on a worker that died."""


class Losses:
    """Decides for one run. It logs what runs again."""

    def __init__(self) -> None:
        self._silent: Counter[int] = (
            Counter()
        )  # looks at jobs that have ended, of which nothing was told
        self._again = 0  # how many tasks run again since it was last looked

    def runs_again(self, label: str, where: str, why: str) -> None:
        """Say that a task runs again."""
        self._again += 1
        if self._again <= NAMED:
            logging.getLogger("prefect").warning("task %r runs again, on %s: %s", label, where, why)

    def say_how_many(self) -> None:
        """Say how many do that were not named, since this was last called."""
        if self._again > NAMED:
            logging.getLogger("prefect").warning(
                "%d more tasks run again: a worker died with their values", self._again - NAMED
            )
        self._again = 0

    def untold(self, ended: Iterable[int]) -> list[int]:
        """Return of which jobs nothing is going to be told; to be called at each look.

        Args:
            ended: the numbers of jobs that have ended, as Dask knows, and have not told so.
        """
        self._silent = Counter({number: self._silent[number] + 1 for number in ended})
        return [number for number, looks in self._silent.items() if looks >= SILENT]

    def state_of(self, call: Call, broken: str | None, blamed: set[str]) -> State | None:
        """Return what a job has come to that the cluster has lost; None if it is to be sent again.

        Args:
            call: the job.
            broken: why nothing is to be expected of the cluster, if that is so.
            blamed: the workers on which jobs had begun that are lost as well.
        """
        error: BaseException | None = None
        if broken is None and call.future is not None and call.future.status == "error":
            error = call.future.exception()
        if isinstance(error, EndedError):  # and its event was lost
            return arrived(loads, error.state)
        if _is_killed(error) and _may_restart(call, error, blamed):
            return None
        told = broken or "lost: the cluster cancelled it, or dropped what it needs"
        if error is not None:
            told = f"lost on the cluster: {describe(error)}"
        if _is_killed(error):  # after its first: Dask's words count its limit of deaths
            whose = f"its worker {call.worker}" if call.begun else "the worker that was to do it"
            told = (
                f"lost on the cluster: KilledWorker: {whose} died: was it killed, or out of memory? Then give "
                "workers more memory, or fewer threads"
            )
        if isinstance(error, Exception):
            error = error.with_traceback(None)  # which is all Dask's
        return after_loss(call.job, Failed(told, error or ResultUnavailableError(told)))


def _may_restart(call: Call, error: Any, blamed: set[str]) -> bool:
    """Tell whether a job is to be sent again that has not begun, as far as is known.

    It waited for another that was lost with the same worker; or else it may be itself what ends workers.
    """
    if call.begun or call.job.task.at_most_once:
        return False
    call.restarts += 1
    waited = (
        call.future is not None and error.task != call.future.key
    ) or error.last_worker.address in blamed
    if not waited and call.restarts == 1:
        logging.getLogger("prefect").warning(
            "a Dask worker left before task %r began there: has it this package, and enough memory?",
            call.label,
        )
    return call.restarts <= (RESTARTS if waited else 1)


def _is_killed(error: BaseException | None) -> bool:
    return type(error).__name__ == "KilledWorker"

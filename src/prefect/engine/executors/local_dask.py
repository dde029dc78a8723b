"""The executor that classic Prefect's flows name where their tasks run on one machine."""

from __future__ import annotations

from prefect.core.check import count
from prefect.engine import executors
from prefect.engine.executors.base import Executor, Session

_THREADS = frozenset({"threads", "threading"})
_PROCESSES = frozenset({"processes", "multiprocessing"})
_ONE_BY_ONE = frozenset({"synchronous", "sync", "single-threaded"})


class LocalDaskExecutor(Executor):
    """Tasks run on this machine: in threads, in processes, or one after the other.

    None of it needs Dask.

    Args:
        scheduler: "threads", "processes" or "synchronous".
        num_workers: how many tasks at a time; by default as many as suits the machine.

    Raises:
        ValueError: there is no such scheduler, or the number is not positive.
        TypeError: an argument is of another type.
    """

    def __init__(self, scheduler: str = "threads", *, num_workers: int | None = None) -> None:
        if num_workers is not None and not count("num_workers", num_workers):
            raise ValueError("num_workers must be at least 1")
        self.scheduler = scheduler
        self.num_workers = num_workers
        self._executor = self._made()

    def _made(self) -> Executor:
        if self.scheduler in _THREADS:
            return executors.ThreadExecutor(self.num_workers)
        if self.scheduler in _ONE_BY_ONE:
            return executors.LocalExecutor()
        if self.scheduler not in _PROCESSES:
            raise ValueError(
                f"There is no scheduler {self.scheduler!r}: use 'threads', 'processes' or 'synchronous'"
            )
        return executors.ProcessExecutor(self.num_workers)

    def start(self) -> Session:
        """Make ready what one run of a flow needs."""
        return self._executor.start()

    def text(self) -> str | None:
        """Return its text form; None where it has arguments that text does not say."""
        return self._executor.text()

    def __repr__(self) -> str:
        return f"LocalDaskExecutor(scheduler={self.scheduler!r}, num_workers={self.num_workers!r})"

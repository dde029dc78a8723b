"""A job that a Dask cluster has, or is to get."""

from __future__ import annotations

from prefect.engine.job import is_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from prefect.engine.executors.dask.refs import Promise
    from prefect.engine.job import Job


class Call:
    """A job of a run.

    Args:
        number: of it, in its run.
        token: what the runner knows it by.
        job: the job.
        waits: what it gets of others that have not returned it.
    """

    __slots__ = (
        "awaits", "begun", "future", "job", "number", "promised", "restarts", "token", "waits",
        "worker",
    )  # fmt: skip

    def __init__(self, number: int, token: Any, job: Job, waits: Sequence[Promise] = ()) -> None:
        self.number = number
        self.token = token
        self.job = job
        self.awaits = is_async(job.task)
        self.waits = waits
        self.future: Any = None
        self.promised: Promise | None = None
        self.begun = False
        self.worker = ""
        self.restarts = 0

    def key(self, topic: str) -> tuple[str, int]:
        """Return the key of its future.

        Of what is of one group Dask gives each worker only as much as it has threads: async jobs are
        of groups of their own.
        """
        group = f"{self.number}-job" if self.awaits else "job"
        # What UTF-8 lacks is written out: a file's name may have it.
        slug = self.job.slug.encode(errors="backslashreplace").decode()
        return f"{slug}-{group}-{topic}", self.number

    @property
    def label(self) -> str:
        """What people know it by."""
        index = self.job.map_index
        return self.job.task.name if index is None else f"{self.job.task.name}[{index}]"

    def has_finished(self) -> bool:
        """Whether the cluster has its value."""
        return self.future is not None and self.future.status == "finished"

    def is_ahead(self) -> bool:
        """Whether it waits for what others have not returned."""
        return any(not each.is_kept for each in self.waits)

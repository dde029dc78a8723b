"""Where the work of tasks is done: in this thread, in several threads, or on a Dask cluster."""

from __future__ import annotations

from prefect.engine.executors.base import Executor, Session
from prefect.engine.executors.local import LocalExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.engine.executors.dask import DaskExecutor
    from prefect.engine.executors.threads import ThreadExecutor

__all__ = ["DaskExecutor", "Executor", "LocalExecutor", "Session", "ThreadExecutor"]


def __getattr__(name: str) -> Any:
    # Imported when they are wanted: queues, threads and signals would double the time to start.
    if name == "DaskExecutor":
        from prefect.engine.executors.dask import DaskExecutor  # noqa: PLC0415

        return DaskExecutor
    if name == "ThreadExecutor":
        from prefect.engine.executors.threads import ThreadExecutor  # noqa: PLC0415

        return ThreadExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

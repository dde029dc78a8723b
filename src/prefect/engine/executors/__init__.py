"""Where tasks run: in this thread, in several threads or processes, or on a Dask cluster."""

from __future__ import annotations

from prefect.engine.executors.base import Executor, Session
from prefect.engine.executors.local import LocalExecutor
from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.engine.executors.dask import DaskExecutor
    from prefect.engine.executors.local_dask import LocalDaskExecutor
    from prefect.engine.executors.processes import ProcessExecutor
    from prefect.engine.executors.threads import ThreadExecutor

__all__ = [
    "DaskExecutor",
    "Executor",
    "LocalDaskExecutor",
    "LocalExecutor",
    "ProcessExecutor",
    "Session",
    "ThreadExecutor",
]


# Imported when they are wanted: queues, threads and signals would double the time to start.
__getattr__, __dir__ = lazy(
    __name__,
    {
        "DaskExecutor": "prefect.engine.executors.dask",
        "ProcessExecutor": "prefect.engine.executors.processes",
        "LocalDaskExecutor": "prefect.engine.executors.local_dask",
        "ThreadExecutor": "prefect.engine.executors.threads",
    },
)

"""Values that a worker gets from another and cannot load, as it lacks a module for example.

Dask marks them as failed on that worker and tells nobody, so that what needs them there would wait for
ever. The jobs that do have failed instead.
"""

from __future__ import annotations

from distributed import WorkerPlugin
from distributed.protocol import pickle as dask_pickle

from prefect.core.state import Failed
from prefect.core.tracebacks import describe
from prefect.errors import RemoteTaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_NAME = "prefect-unloadable"


def preparation() -> Callable[..., Any]:
    """Return what is called on each worker before a run: it gives this package's version there.

    It is sent by value, to workers that may lack this package or have another release.
    """

    async def prepare(dask_worker: Any) -> str | None:
        try:
            from prefect.version import __version__ as found  # noqa: PLC0415
        except ImportError:
            return None
        try:
            from prefect.engine.executors.dask.unloadable import watch  # noqa: PLC0415
        except ImportError:
            return found
        await watch(dask_worker)
        return found

    return prepare


async def watch(worker: Any) -> None:
    """Look at what becomes of the values that come to a worker, once for all runs."""
    if _NAME not in worker.plugins:
        await worker.plugin_add(_Watch(), name=_NAME)


class _Watch(WorkerPlugin):
    """Tells the runs of jobs that cannot get what they need."""

    def setup(self, worker: Any) -> None:
        self._worker = worker

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Hear of a task's change of state on this worker."""
        if finish == "error" and start == "flight":
            # Its connection still has half of an exchange: the next value on it would fail, too.
            self._worker.rpc.collect()
            value = self._worker.state.tasks[key]
            for job in value.dependents:
                self._tell(job, value)
        elif finish == "waiting" and type(key) is tuple:  # for a value that has failed before
            job = self._worker.state.tasks[key]
            for value in job.dependencies:
                if value.state == "error":
                    self._tell(job, value)

    def _tell(self, job: Any, value: Any) -> None:
        name = job.key[0] if type(job.key) is tuple else ""
        _, of_ours, topic = str(name).rpartition("-job-")
        if not of_ours or job.state not in {"waiting", "released"}:
            return
        try:
            why = describe(dask_pickle.loads(value.exception.data))  # type: ignore[no-untyped-call]
        except Exception:  # noqa: BLE001  # anybody's exception
            why = value.exception_text
        message = (
            f"a worker cannot load the value of {_called(value.key)} ({self._worker.address}; has it the "
            f"same packages?): {why}"
        )
        state = Failed(message, RemoteTaskError(message))
        told = [(job.key[1], "ended", dask_pickle.dumps(state))]  # type: ignore[no-untyped-call]
        self._worker.log_event(topic, [self._worker.address, told])


def _called(key: Any) -> str:
    name, _, _ = str(key[0] if type(key) is tuple else key).partition("-job-")
    return f"task {name!r}"

"""Local modules that a flow has brought as source, on the workers of a cluster."""

from __future__ import annotations

from distributed import SchedulerPlugin, WorkerPlugin

from prefect.engine.executors.brought import bring, is_any, leave
from prefect.engine.executors.travelling import packed, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from typing import Any

    from prefect.engine.executors.brought import Sources


class BringsModules(WorkerPlugin):
    """Has workers, also those that come later, find modules of a flow.

    Args:
        topic: of the run, for whose time they are brought.
        digest: of the sources.
        sources: of the modules.
        whole: whether they are executed together.
    """

    def __init__(self, topic: str, digest: str, sources: Sources, *, whole: bool) -> None:
        self.name = f"{_name(topic)}-{digest}"
        self._digest = digest
        self._sources = sources
        self._whole = whole

    def setup(self, worker: Any) -> None:  # noqa: ARG002  # Dask's signature
        """Have them found; called in a worker's process."""
        bring([self._sources], whole=self._whole)

    def teardown(self, worker: Any) -> None:  # noqa: ARG002  # the same
        """Have them make way; called in a worker's process."""
        leave(self._digest)


def forgetting(topic: str, owner: str) -> SchedulerPlugin:
    """Return what has a scheduler forget the modules of a run, whose name only this run's plugins have.

    Args:
        topic: of the run.
        owner: the run's client; when it has left, however that came, the run is over.
    """
    ours = _name(topic)

    class Forgets(SchedulerPlugin):  # within a function, so that it is pickled by value
        name = ours

        def remove_client(self, scheduler: Any, client: str) -> None:
            if client == owner:
                scheduler.plugins.pop(ours, None)
                for name in [each for each in scheduler.worker_plugins if each.startswith(ours)]:
                    del scheduler.worker_plugins[name]
                    message = {"op": "plugin-remove", "name": name}
                    scheduler._ongoing_background_tasks.call_soon(  # noqa: SLF001  # as it does itself
                        scheduler.broadcast, msg=message, on_error="ignore"
                    )

    return Forgets()


def _name(topic: str) -> str:
    return f"prefect-modules-{topic}"


class Carried:
    """A value that may have something of such modules in it: Dask pickles it by their names alone."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def load(self) -> Any:
        """Return it."""
        return self._value

    def __sizeof__(self) -> int:
        from distributed.sizeof import safe_sizeof  # noqa: PLC0415  # seldom needed

        return int(safe_sizeof(self._value))

    def __reduce__(self) -> tuple[Any, ...]:
        data = packed(self._value)
        return _arrived, (data[0], *map(_buffer, data[1:]))


def carried(value: Any) -> Any:
    """Return a value as a worker is to keep it."""
    return Carried(value) if is_any() else value


def _arrived(*data: Any) -> Carried:
    return Carried(unpacked(list(data)))


def _buffer(data: Any) -> pickle.PickleBuffer:
    import pickle  # noqa: PLC0415

    return pickle.PickleBuffer(data)

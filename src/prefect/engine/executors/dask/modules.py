"""Local modules that a flow has brought as source, on the workers of a cluster."""

from __future__ import annotations

from distributed import WorkerPlugin

from prefect.engine.executors.brought import bring, is_any
from prefect.engine.executors.travelling import packed, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from typing import Any

    from prefect.engine.executors.brought import Sources


class BringsModules(WorkerPlugin):
    """Has workers, also those that come later, find modules of a flow.

    Args:
        digest: of the sources.
        sources: of the modules.
        whole: whether they are executed together.
    """

    def __init__(self, digest: str, sources: Sources, *, whole: bool) -> None:
        self.name = f"prefect-modules-{digest}"
        self._sources = sources
        self._whole = whole

    def setup(self, worker: Any) -> None:  # noqa: ARG002  # Dask's signature
        """Have them found; called in a worker's process."""
        bring([self._sources], whole=self._whole)


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

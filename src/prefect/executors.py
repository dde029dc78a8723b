"""Classic Prefect's name of `prefect.engine.executors`."""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.engine.executors import DaskExecutor, Executor, LocalDaskExecutor, LocalExecutor

__all__ = ["DaskExecutor", "Executor", "LocalDaskExecutor", "LocalExecutor"]
__path__: list[str] = []  # modules of it: see `prefect.lazy`

__getattr__, __dir__ = lazy(__name__, dict.fromkeys(__all__, "prefect.engine.executors"))

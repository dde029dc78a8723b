"""Local modules that a flow has brought as source, on the workers of a cluster."""

from __future__ import annotations

from distributed import WorkerPlugin

from prefect.engine.executors.brought import bring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.engine.executors.brought import Sources


class BringsModules(WorkerPlugin):
    """Has workers, also those that come later, find modules of the flow.

    Args:
        sources: of the modules.
    """

    name = "prefect-modules"

    def __init__(self, sources: Sources) -> None:
        self._sources = dict(sources)

    def setup(self, worker: Any) -> None:  # noqa: ARG002  # Dask's signature
        """Have them found; called in a worker's process."""
        bring(self._sources)

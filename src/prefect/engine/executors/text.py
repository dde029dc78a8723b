"""Executors from their text form: what commands, artifacts and flows say of where tasks run."""

from __future__ import annotations

from prefect.core.executor_text import parse
from prefect.engine import executors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.engine.executors.base import Executor


def parse_executor(text: str) -> Executor:
    """Return the executor of a text form; nothing is started, and nobody is connected to.

    Args:
        text: "local", "threads", "threads:8", "processes", "processes:4", "dask" (a cluster of processes here, for the run), or the
            address of a Dask scheduler, such as "tcp://10.0.0.5:8786".

    Raises:
        ValueError: it is none of these, or an address with credentials.
    """
    kind, rest = parse(text)
    if kind == "threads":
        return executors.ThreadExecutor(int(rest) if rest else None)
    if kind == "processes":
        return executors.ProcessExecutor(int(rest) if rest else None)
    if kind == "dask":
        return executors.DaskExecutor(rest or None)
    return executors.LocalExecutor()

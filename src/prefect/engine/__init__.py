"""Runs flows: a scheduler loop, and executors that do the tasks' work.

Run passes here last; the runner itself is imported by the first run. May import core.
"""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.engine import executors, signals, state
    from prefect.engine.events import TaskEvent

__all__ = ["TaskEvent", "executors", "signals", "state"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "TaskEvent": "prefect.engine.events",
        "executors": "prefect.engine.executors",
        "signals": "prefect.engine.signals",
        "state": "prefect.engine.state",
    },
)

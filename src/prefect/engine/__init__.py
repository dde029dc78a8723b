"""Runs flows: a scheduler loop, and executors that do the tasks' work.

Run passes here last. Importing it teaches `Flow.run` how to run; the runner itself is imported by the
first run. May import core.
"""

from __future__ import annotations

from prefect.core.flow import bind_runner
from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State
    from prefect.engine import executors, signals, state
    from prefect.engine.events import TaskEvent

__all__ = ["TaskEvent", "executors", "signals", "state"]


def _run(*args: Any) -> State:
    from prefect.engine.runner import run_flow  # noqa: PLC0415  # `import prefect` stays cheap

    return run_flow(*args)


__getattr__, __dir__ = lazy(
    __name__,
    {
        "TaskEvent": "prefect.engine.events",
        "executors": "prefect.engine.executors",
        "signals": "prefect.engine.signals",
        "state": "prefect.engine.state",
    },
)
bind_runner(_run)

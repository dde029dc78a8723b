"""Runs flows: a scheduler loop, and executors that do the tasks' work.

Run passes here last. Importing it teaches `Flow.run` how to run; the runner itself is imported by the
first run. May import core.
"""

from __future__ import annotations

from prefect.core.flow import bind_runner

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


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module  # noqa: PLC0415

        if name == "TaskEvent":
            return import_module("prefect.engine.events").TaskEvent
        return import_module(f"prefect.engine.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


bind_runner(_run)

"""Tasks, flows, states and what connects them: plain objects, no I/O (but for `drawing.render`).

Every trip ends or begins here. Imports nothing of this package but errors and files.
"""

from __future__ import annotations

from prefect.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from os import PathLike

    from prefect.core.flow import Flow
    from prefect.core.graph import Edge
    from prefect.core.parameter import Parameter
    from prefect.core.state import State
    from prefect.core.task import Task

__all__ = ["Edge", "Flow", "Parameter", "Task"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Edge": "prefect.core.graph",
        "Flow": "prefect.core.flow",
        "Parameter": "prefect.core.parameter",
        "Task": "prefect.core.task",
    },
)

runner: Callable[..., State] | None = None
"""What `Flow.run` calls. The package sets it, since nothing here may know the engine."""

async_runner: Callable[[Callable[[], State]], Awaitable[State]] | None = None
"""What `Flow.arun` calls, with a call of `Flow.run`; likewise."""

scheduled_runner: Callable[..., State] | None = None
"""What `Flow.run` calls for a flow with a schedule; likewise."""

saver: Callable[[Flow, str | PathLike[str]], str] | None = None
loader: Callable[[str | PathLike[str]], Flow] | None = None
"""What `Flow.save` and `Flow.load` call; likewise."""

diagnoser: Callable[[Flow, bool], str] | None = None
"""What `Flow.diagnostics` calls; likewise."""

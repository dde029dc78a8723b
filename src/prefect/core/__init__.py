"""Tasks, flows, states and what connects them: plain objects, no I/O (but for `drawing.render`).

Every trip ends or begins here. Imports nothing of this package but errors and files.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.core.state import State

runner: Callable[..., State] | None = None
"""What `Flow.run` calls. The package sets it, since nothing here may know the engine."""

"""`Parameter`: an input of a flow, given when it is run."""

from __future__ import annotations

from prefect.core.context import context
from prefect.core.task import Task
from prefect.errors import ParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from prefect.core.flow import Flow

_NONE: Any = object()


class Parameter(Task):
    """A task whose result is given to `flow.run(parameters={name: value})`.

    Args:
        name: unique among the parameters of a flow; also the task's slug.
        default: the value when none is given. Without a default the parameter is required;
            `default=None` makes it optional.
        required: whether a value must be given whatever the default is.
        tags: labels.
    """

    def __init__(
        self,
        name: str,
        default: Any = _NONE,
        required: bool | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        super().__init__(name=name, slug=name, tags=tags)
        self.required = default is _NONE if required is None else bool(required)
        self.default = None if default is _NONE else default

    def run(self) -> Any:
        """Return the value that the run was given, or the default."""
        given = context.get("parameters") or {}
        if self.name in given:
            return given[self.name]
        if self.required:
            raise ParameterError(f"parameter {self.name!r} is required")
        return self.default

    def __call__(self, flow: Flow | None = None) -> Parameter:  # type: ignore[override]
        """Add this parameter itself, not a copy, to the flow being built."""
        self._flow(flow).add_task(self)
        return self

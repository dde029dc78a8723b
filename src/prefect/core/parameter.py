"""`Parameter`: an input of a flow, given when it is run."""

from __future__ import annotations

from prefect.core import check
from prefect.core.context import context
from prefect.core.parameter_check import Expected, explicit_type
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
        type: what values are, such as `int`, `datetime.date`, an enum, or `float | None`. By default
            what the tasks that take it are annotated with, or the class of the default. A value
            may also be given in the type's JSON form, a date as "2024-02-29" for example; anything
            else is an error before a run starts.

    Raises:
        TypeError: `type` is no class, or another argument is of the wrong type.
        ParameterError: the default is not of the type.
    """

    type: Any = None  # for flows that an earlier release has pickled

    def __init__(
        self,
        name: str,
        default: Any = _NONE,
        required: bool | None = None,
        tags: Iterable[str] | None = None,
        *,
        type: Any = None,  # noqa: A002
    ) -> None:
        super().__init__(name=name, slug=name, tags=tags)
        self.required = default is _NONE if required is None else check.flag("required", required)
        self.default = None if default is _NONE else default
        self.type = type
        if type is not None:
            kind, _ = explicit_type(type)
            # The default may be given in its JSON form, and None always is one.
            of_default = Expected(name, required=False, type=kind, nullable=True)
            self.default = of_default.convert(self.default)

    def run(self) -> Any:
        """Return the value that the run was given, or the default."""
        given = context.get("parameters") or {}
        if self.name in given:
            return given[self.name]
        if self.required:
            raise ParameterError(f"Parameter {self.name!r} is required")
        return self.default

    def copy(self, name: str | None = None, **task_args: Any) -> Parameter:
        """Return a copy, with another name where one is given.

        Args:
            name: the copy's; also its slug.
            **task_args: attributes that the copy has otherwise.
        """
        renamed = {} if name is None else {"name": name, "slug": name}
        return super().copy(**renamed, **task_args)

    def __call__(self, flow: Flow | None = None) -> Parameter:  # type: ignore[override]
        """Add this parameter itself, not a copy, to the flow being built."""
        self._flow(flow).add_task(self)
        return self


class DateTimeParameter(Parameter):
    """A parameter that is a moment: an aware datetime, or its text such as "2024-02-29T12:30:00+01:00".

    One without a timezone is taken for one in UTC.

    Args:
        name: unique among the parameters of a flow; also the task's slug.
        default: the moment when none is given, or its text.
        required: whether it must be given; by default it must where there is no default. If not, it is None.
        tags: labels.
    """

    def __init__(
        self,
        name: str,
        default: Any = None,
        required: bool | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        from datetime import datetime  # noqa: PLC0415  # seldom needed

        required = default is None if required is None else required
        super().__init__(name, default, required, tags, type=datetime)

    def run(self) -> Any:
        """Return the moment that the run was given, or None."""
        from datetime import UTC  # noqa: PLC0415  # seldom needed

        value = super().run()
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def works(task: Task) -> bool:
    """Whether a task does more than have a value or pass values on."""
    return not (task.auto_generated or isinstance(task, Parameter))

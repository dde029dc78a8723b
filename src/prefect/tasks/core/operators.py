"""Tasks that apply an operator to two results. `x + y` adds one of this package's own, which does the same."""

from __future__ import annotations

import operator

from prefect.core.inputs import GetItem
from prefect.core.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Add",
    "And",
    "Div",
    "Equal",
    "FloorDiv",
    "GetAttr",
    "GetItem",
    "GreaterThan",
    "GreaterThanOrEqual",
    "LessThan",
    "LessThanOrEqual",
    "Mod",
    "Mul",
    "Not",
    "NotEqual",
    "Or",
    "Pow",
    "Sub",
]


class _Binary(Task):
    def run(self, x: Any, y: Any) -> Any:
        """Apply it."""
        raise NotImplementedError


class Add(_Binary):
    """Returns the sum."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x + y`."""
        return operator.add(x, y)


class Sub(_Binary):
    """Returns the difference."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x - y`."""
        return operator.sub(x, y)


class Mul(_Binary):
    """Returns the product."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x * y`."""
        return operator.mul(x, y)


class Div(_Binary):
    """Returns the quotient."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x / y`."""
        return operator.truediv(x, y)


class FloorDiv(_Binary):
    """Returns the whole quotient."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x // y`."""
        return operator.floordiv(x, y)


class Mod(_Binary):
    """Returns the rest."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x % y`."""
        return operator.mod(x, y)


class Pow(_Binary):
    """Returns the power."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x ** y`."""
        return operator.pow(x, y)


class Equal(_Binary):
    """Returns whether they are equal."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x == y`."""
        return operator.eq(x, y)


class NotEqual(_Binary):
    """Returns whether they differ."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x != y`."""
        return operator.ne(x, y)


class GreaterThan(_Binary):
    """Returns whether the first is greater."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x > y`."""
        return operator.gt(x, y)


class GreaterThanOrEqual(_Binary):
    """Returns whether the first is not smaller."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x >= y`."""
        return operator.ge(x, y)


class LessThan(_Binary):
    """Returns whether the first is smaller."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x < y`."""
        return operator.lt(x, y)


class LessThanOrEqual(_Binary):
    """Returns whether the first is not greater."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x <= y`."""
        return operator.le(x, y)


class And(_Binary):
    """Returns whether both are true."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x and y`."""
        return x and y


class Or(_Binary):
    """Returns whether one of them is true."""

    def run(self, x: Any, y: Any) -> Any:
        """Return `x or y`."""
        return x or y


class Not(Task):
    """Returns whether it is false."""

    def run(self, x: Any) -> bool:
        """Return `not x`."""
        return not x


class GetAttr(Task):
    """Returns an attribute of a result, or one of an attribute's, by its dotted name.

    Args:
        default: what to return where there is none; by default that is an error.
        *args: of the task.
        **kwargs: likewise.
    """

    default: Any

    def __init__(self, default: Any = ..., *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if default is not ...:
            self.default = default

    def run(self, task_result: Any, attr: str, default: Any = None) -> Any:
        """Return it; the default, if there is none, and a default is given."""
        try:
            return operator.attrgetter(attr)(task_result)
        except AttributeError:
            if default is None and not hasattr(self, "default"):
                raise
            return self.default if default is None else default

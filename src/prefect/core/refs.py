"""Values that are not here: what a state holds in place of its result, until somebody reads it."""

from __future__ import annotations

from contextvars import ContextVar

from prefect.errors import ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

sending: ContextVar[Callable[[Ref], tuple[Any, ...]] | None] = ContextVar(
    "prefect.sending", default=None
)
"""What says how a reference is pickled while inputs are, that are sent to where values lie."""


class Ref:
    """A value that lies elsewhere. Pickled, it becomes the value, but for inputs of tasks."""

    __slots__ = ()

    def fetch(self) -> Any:
        """Return the value.

        Raises:
            ResultUnavailableError: it is not to be had any more.
        """
        raise NotImplementedError

    def items(self) -> Sequence[Any]:
        """Return its items, or references to them, without fetching it.

        Raises:
            TypeError: it cannot be mapped over; says why.
        """
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        how = sending.get()
        return (_itself, (self.fetch(),)) if how is None else how(self)


def _itself(value: Any) -> Any:
    return value


class Released(Ref):
    """The value of a task that nobody needs any more."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    def fetch(self) -> Any:
        """Say what to do."""
        raise ResultUnavailableError(self.why)

    def items(self) -> Sequence[Any]:
        """Say what to do."""
        raise ResultUnavailableError(self.why)

    def __reduce__(self) -> tuple[Any, ...]:
        return Released, (self.why,)


class Gathered(Ref):
    """A collection made here, some of whose items lie elsewhere.

    Args:
        items: what it is made of: values and references.
        kind: makes the collection of the values.
    """

    __slots__ = ("_items", "_kind")

    def __init__(self, items: Iterable[Any], kind: Callable[[list[Any]], Any] = list) -> None:
        self._items = list(items)
        self._kind = kind

    def fetch(self) -> Any:
        """Return the collection, with all values fetched."""
        return self._kind([each.fetch() if isinstance(each, Ref) else each for each in self._items])

    def items(self) -> Sequence[Any]:
        """Return its items and references."""
        if self._kind in {list, tuple}:
            return self._items
        raise TypeError("it is a collection that has no items by number; map over list(...)")

    def parts(self) -> list[Any]:
        """Return its items and references, whatever it becomes."""
        return self._items

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._kind, self._items)


def _made(kind: Callable[[list[Any]], Any], items: list[Any]) -> Any:
    return kind(items)


def gathered(values: list[Any], kind: Callable[[list[Any]], Any] = list) -> Any:
    """Return a collection of values; where some are references, a reference to it."""
    if any(isinstance(value, Ref) for value in values):
        return Gathered(values, kind)
    return kind(values)


def as_dict(items: list[Any]) -> dict[Any, Any]:
    """Make a dict of keys and values in turn."""
    return dict(zip(items[::2], items[1::2], strict=True))

"""Values that are not here: what a state holds in place of its result, until somebody reads it."""

from __future__ import annotations

from contextvars import ContextVar

from prefect.errors import ResultUnavailableError, StoreError

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
    """The value of a task that nobody needs any more. One that was stored is read when somebody asks for it.

    Args:
        why: what is to be said where there is none.
        stored: its store, its key there and its digest; None of a value that was not stored.
    """

    __slots__ = ("stored", "why")

    def __init__(self, why: str, stored: tuple[str, str, str] | None = None) -> None:
        self.why = why
        self.stored = stored

    def fetch(self) -> Any:
        """Read it, or say what to do."""
        if self.stored is None or not reading:
            raise ResultUnavailableError(self.why)
        try:
            return reading[0](*self.stored)
        except (ResultUnavailableError, StoreError) as error:
            raise ResultUnavailableError(f"{self.why}. It was stored, but: {error}") from error

    def items(self) -> Sequence[Any]:
        """Do the same of its items."""
        from prefect.core.inputs import items_of  # noqa: PLC0415 - seldom asked for

        return items_of(self.fetch())

    def __reduce__(self) -> tuple[Any, ...]:
        # With what reads it, which is imported so where it is loaded.
        return _released, (self.why, self.stored, *(reading if self.stored else ()))


def _released(why: str, stored: tuple[str, str, str] | None, *_: object) -> Released:
    return Released(why, stored)


reading: list[Callable[[str, str, str], Any]] = []
"""What reads a value by its store, its key and its digest, once there are stores: they know of this, not the reverse."""


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

    def item(self, key: Any) -> Any:
        """Return an item or a reference to it; of a slice, the same kind of collection."""
        found: Any = self.items()[key]
        return gathered(found, self._kind) if isinstance(key, slice) else found

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

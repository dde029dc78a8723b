"""Values that workers of a Dask cluster hold."""

from __future__ import annotations

from prefect.core.inputs import items_of
from prefect.core.refs import Gathered, Ref
from prefect.errors import ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from prefect.engine.executors.dask.values import Values

SPLIT = 1 << 20
"""Bytes of a value from which on its items are taken out where it lies, if it is mapped over. A smaller
one goes whole to each worker that has to do with an item."""
_UNSET: Any = object()


class ClusterRef(Ref):
    """A value on a worker, kept for as long as this is.

    Args:
        values: of the run that it is of.
        future: holds it; of an item, that of the whole value.
        nbytes: its size, as Dask reckons.
        length: over how many items of it one can map; -1, if one cannot.
        reason: why not.
        parent: the value of which it is an item.
        index: which one.
    """

    __slots__ = ("_value", "_values", "future", "index", "length", "nbytes", "parent", "reason")

    def __init__(
        self,
        values: Values,
        future: Any,
        nbytes: int,
        length: int,
        reason: str | None,
        parent: ClusterRef | None = None,
        index: int = 0,
    ) -> None:
        self._values = values
        self.future = future
        self.nbytes = nbytes
        self.length = length
        self.reason = reason
        self.parent = parent
        self.index = index
        self._value = _UNSET

    @property
    def is_here(self) -> bool:
        """Whether it has been fetched."""
        return self._value is not _UNSET

    def set(self, value: Any) -> None:
        """Have the value here."""
        self._value = value

    def fetch(self) -> Any:
        """Return the value; it is fetched once."""
        if self._value is _UNSET:
            if self.parent is not None:
                return self.parent.fetch()[self.index]
            self._value = self._values.fetch(self)
        return self._value

    def items(self) -> Sequence[Any]:
        """Return references to its items."""
        if self.is_here:
            value = self._value
            return [value[index] for index in range(len(value))]
        if self.parent is not None or (self.length < 0 and self.reason is None):
            value = self.fetch()  # of an item one does not know the length
            return [value[index] for index in range(len(value))]
        if self.reason is not None:
            raise TypeError(self.reason)
        if self.nbytes > SPLIT:
            return self._values.split(self)
        share = self.nbytes // max(1, self.length)
        return [
            ClusterRef(self._values, self.future, share, -1, None, self, index)
            for index in range(self.length)
        ]


class Promise(Ref):
    """What a job is going to return, for others that are given to the cluster before it has.

    Args:
        future: the job's.
    """

    __slots__ = ("_held", "future")

    def __init__(self, future: Any) -> None:
        self.future = future
        self._held = _UNSET

    @property
    def is_kept(self) -> bool:
        """Whether the job has returned it."""
        return self._held is not _UNSET

    def keep(self, held: Any) -> None:
        """Tell what it has become: a value, or a reference to it."""
        self._held = held
        self.future = None

    def held(self) -> Any:
        """Return that."""
        return self._held

    def fetch(self) -> Any:
        """Return the value."""
        if not self.is_kept:
            raise ResultUnavailableError("The task has not returned its value")
        return self._held.fetch() if isinstance(self._held, Ref) else self._held

    def items(self) -> Sequence[Any]:
        """Return references to its items."""
        return self._held.items() if isinstance(self._held, Ref) else items_of(self.fetch())


def gather_here(held: Iterable[Any]) -> Iterator[ClusterRef]:
    """Yield the values on a cluster that are in what states hold, each once."""
    seen: set[int] = set()
    stack = list(held)
    while stack:
        each = stack.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Gathered):
            stack.extend(each.parts())
        elif isinstance(each, ClusterRef):
            if each.parent is not None:
                stack.append(each.parent)
            else:
                yield each


def promises(values: Iterable[Any]) -> Iterator[Promise]:
    """Yield what is promised, and not there yet, of values, and of what was gathered of such."""
    stack = list(values)
    while stack:
        each = stack.pop()
        if isinstance(each, Gathered):
            stack.extend(each.parts())
        elif isinstance(each, Promise) and not each.is_kept:
            yield each

"""Lets go of the values of tasks when nothing in the run needs them any more."""

from __future__ import annotations

import sys

from prefect.core.refs import Ref, Released
from prefect.core.state import Mapped, Success
from prefect.engine.nodes import CHILDREN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from prefect.core.state import State
    from prefect.engine.nodes import Node

SMALL = 1 << 16
"""Bytes up to which a value is kept whoever needs it: what a script prints after a run is small."""
_MOST_PARTS = 200  # of a value that are looked at
_CELL = 128
"""Bytes that are reckoned for a cell of a table, or an item of an array of objects."""
ATOMS = frozenset({type(None), bool, int, float, complex, type, range, slice, type(Ellipsis)})
_COLLECTIONS = (list, tuple, set, frozenset)
_STANDARD = frozenset({"datetime", "decimal", "fractions", "uuid", "zoneinfo", "pathlib", "enum"})


def done_with_sources(node: Node) -> None:
    """Let go of what a node that has come to its end was the last to take."""
    if node.kinds:
        _done_with_mapped(node)
        return
    step: Any = node  # a child has kinds
    for key, source in zip(step.keys, node.sources):  # noqa: B905  # twice as fast without `strict`
        if key is not None or not step.default_trigger:
            if source.children is not None:
                _take(source.children)
            source.takers -= 1
            if not source.takers and type(source.state.held) not in ATOMS:
                let_go(source)


def _done_with_mapped(node: Node) -> None:
    """Do the same for a child, or for the mapped task when all children have come to their ends."""
    is_child = node.map_index is not None
    if is_child and CHILDREN not in node.kinds:
        return
    for edge, source, kind in zip(node.step.edges, node.sources, node.kinds, strict=False):
        if not node.step.takes(edge):
            continue
        if is_child:
            if kind == CHILDREN:
                _take((source,))
        else:
            if kind != CHILDREN:  # which each child has taken
                _take(source.children or ())
            _take((source,))


def _take(nodes: Iterable[Node]) -> None:
    for node in nodes:
        node.takers -= 1
        if not node.takers:
            let_go(node)


def let_go(node: Node) -> None:
    """Let go of the value of a finished node, unless it is small."""
    state = node.state
    if isinstance(state, Mapped):
        if node.children is None:  # of `flatten`, which has states and no children
            for index, each in enumerate(state.map_states):
                _release(each, f"{node.label}[{index}]")
        state.held = _Children(state)
    elif state is not None:
        _release(state, node.label)


def _release(state: State, label: str) -> None:
    held = state.held
    if isinstance(state, Success) and (isinstance(held, Ref) or not is_small(held)):
        stored = (getattr(state, "_context", None) or {}).get("stored")
        state.held = Released(
            f"The result of task {label!r} was released when the last task that takes it had finished, "
            'to save memory. Run the flow with results="all" to keep all, or make it one of the '
            "reference tasks",
            stored and (stored["where"], stored["key"], stored["digest"]),
        )


class _Children(Ref):
    """The list of the results of a mapped task, of which there may be some."""

    __slots__ = ("_mapped",)

    def __init__(self, mapped: Mapped) -> None:
        self._mapped = mapped

    def fetch(self) -> list[Any]:
        """Return the list, if all are there."""
        return [state.result for state in self._mapped.map_states]

    def items(self) -> list[Any]:
        """Return it with references."""
        return [state.held for state in self._mapped.map_states]

    def __reduce__(self) -> tuple[Any, ...]:
        return list, ([state.held for state in self._mapped.map_states],)


def is_small(value: Any) -> bool:
    """Tell whether a value takes little memory; of one that does not say, that it does not."""
    if type(value) in ATOMS:
        return True
    left, parts = SMALL, [value]
    looked_at = 0
    while parts:
        part = parts.pop()
        looked_at += 1
        if looked_at > _MOST_PARTS:
            return False
        size, within = _measure(part)
        left -= size
        if left < 0:
            return False
        parts.extend(within)
    return True


def _measure(value: Any) -> tuple[int, Iterable[Any]]:
    """Return how many bytes a value takes by itself, and what it refers to."""
    kind = type(value)
    size = SMALL + 1
    within: Iterable[Any] = ()
    if kind in ATOMS or kind.__module__ in _STANDARD or isinstance(value, BaseException):
        size = 64
    elif isinstance(value, str | bytes | bytearray):
        size = len(value)
    elif isinstance(value, _COLLECTIONS):
        if len(value) <= _MOST_PARTS:
            size, within = sys.getsizeof(value), value
    elif isinstance(value, dict):
        if len(value) <= _MOST_PARTS:
            within = [part for item in value.items() for part in item]
            size = sys.getsizeof(value)
    elif isinstance(nbytes := getattr(value, "nbytes", None), int):
        base = getattr(getattr(value, "base", None), "nbytes", 0)  # what an array is a view of
        cells = (
            getattr(value, "size", 0)
            if getattr(getattr(value, "dtype", None), "kind", "") == "O"
            else 0
        )
        size = max(nbytes, base if isinstance(base, int) else 0, cells * _CELL)
    elif isinstance(shape := getattr(value, "shape", None), tuple):  # of a data frame
        from math import prod  # noqa: PLC0415  # seldom needed

        size = _CELL * prod(shape)
    elif (found := _attributes(value, kind)) is not None:
        size, within = 64, found
    return size, within


def _attributes(value: Any, kind: type) -> Iterable[Any] | None:
    """Return all that an instance of a class written in Python has; None for what is not one."""
    bases = [base for base in kind.__mro__ if base is not object]
    if not all(base.__flags__ & _HEAP_TYPE for base in bases):
        return None
    found = getattr(value, "__dict__", None)
    if isinstance(found, dict):
        return found.values()
    if not all("__slots__" in base.__dict__ for base in bases):
        return None
    names = [name for base in bases for name in base.__dict__["__slots__"]]
    return [getattr(value, name, None) for name in names]


_HEAP_TYPE = 1 << 9

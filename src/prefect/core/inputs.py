"""How values become inputs of tasks: constants, collections that contain tasks, operations."""

from __future__ import annotations

import _operator as operator  # by itself: what is around it takes a millisecond

from prefect.core.serialization import stable_repr
from prefect.core.signals import ENDRUN
from prefect.core.state import Failed, Mapped, Success
from prefect.core.task import Task
from prefect.core.triggers import all_finished
from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from prefect.core.building import FlowBuilding
    from prefect.core.state import State


class unmapped:  # noqa: N801  # reads as a function
    """An argument of `Task.map` that all children get whole, rather than an item each."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class mapped:  # noqa: N801  # reads as a function
    """An argument of a task's call over which it is mapped, though the others are not."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class flatten:  # noqa: N801  # reads as a function
    """An argument of which the items' items are taken: one level of lists less.

    `f.map(flatten(xs))` runs `f` for each item of each item of `xs`.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def annotated(value: Any, is_mapped: bool, flow: FlowBuilding) -> tuple[Any, bool]:
    """Return what is in `unmapped(...)`, `mapped(...)` and `flatten(...)`, and whether to map over it."""
    if isinstance(value, flatten):
        inner, is_mapped = annotated(value.value, is_mapped, flow)
        if as_task(inner, flow) is None and (reason := unmappable(inner)):
            raise FlowError(f"flatten(...) takes a list of lists: {reason}")
        return Flatten().bind(inner, flow=flow), is_mapped  # type: ignore[arg-type]  # it is a Flow
    if isinstance(value, mapped):
        return annotated(value.value, True, flow)
    if isinstance(value, unmapped):
        return annotated(value.value, False, flow)
    return value, is_mapped


ANNOTATIONS = frozenset({unmapped, mapped, flatten})
"""What says of an argument how it is taken."""

_HINTS: dict[type | tuple[type, ...], str] = {
    (str, bytes, bytearray): "list(...) of it, if you mean its characters",
    dict: "a list of its keys, values or items",
    (set, frozenset): "sorted(...) of it, for it has no order",
}


def unmappable(value: Any) -> str | None:
    """Return why a value cannot be mapped over, with the fix; None where it may be."""
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiouAEIOU" else "a"
    for unordered, hint in _HINTS.items():
        if isinstance(value, unordered):
            return f"it is {article} {kind}; map over {hint}, or give it whole with unmapped(...)"
    if not hasattr(type(value), "__getitem__"):
        told = f"{article} {kind}" if value is not None else "None"
        if hasattr(type(value), "__iter__"):
            return f"{told} has no items by number; map over list(...)"
        return f"{told} has no items; give it whole to each with unmapped(...)"
    return None


def items_of(value: Any) -> Sequence[Any]:
    """Return the items of a value that is mapped over.

    Raises:
        TypeError: it has none; says why, with the fix.
    """
    if isinstance(value, (list, tuple, range)):
        return value
    if reason := unmappable(value):
        raise TypeError(reason)
    try:
        return [value[index] for index in range(len(value))]
    except Exception as error:
        raise TypeError(
            f"its {type(value).__name__} has no items by number ({type(error).__name__}); map over "
            "list(...)"
        ) from error


class Constant(Task):
    """A plain value as a task; flows add it where a constant is mapped over."""

    auto_generated = True

    def __init__(self, value: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or f"Constant[{type(value).__name__}]", **kwargs)
        self.value = value

    def run(self) -> Any:
        """Return the value."""
        return self.value


class Flatten(Task):
    """Takes the items of each item; an item that is a failure stays one."""

    auto_generated = True

    def __init__(self) -> None:
        super().__init__(name="Flatten", trigger=all_finished, skip_on_upstream_skip=False)

    def run(self, items: Any) -> Any:
        """Return one list of all."""
        states: list[State] = []
        for number, each in enumerate(items):
            if isinstance(each, BaseException):
                states.append(Failed(f"item {number} is a failure", each))
            elif each is not None and (reason := unmappable(each)):
                raise TypeError(f"flatten(...) takes a list of lists; of item {number}, {reason}")
            else:
                states.extend(Success(None, item) for item in each or ())
        results = [state.result for state in states]
        if any(isinstance(state, Failed) for state in states):
            raise ENDRUN(Mapped("not all of it could be flattened", results, states))
        return results


class GetItem(Task):
    """Takes one item of another task's result: what `task[key]` adds to a flow.

    Args:
        default: what to take where there is no such key; by default that is an error.
        *args: of the task.
        **kwargs: likewise.
    """

    auto_generated = True
    default: Any

    def __init__(self, default: Any = ..., *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if default is not ...:  # else `task[key]` is pickled as ever
            self.default = default

    def run(self, task_result: Any, key: Any, default: Any = None) -> Any:
        """Return `task_result[key]`; the default, if there is no such key, and a default is given."""
        try:
            return task_result[key]
        except KeyError:
            if default is None and not hasattr(self, "default"):
                raise
            return self.default if default is None else default


class Operation(Task):
    """Applies an operator to results: what `x + 1` or `x > y` adds to a flow."""

    auto_generated = True

    def __init__(self, symbol: str, name: str) -> None:
        super().__init__(name=name)
        self.symbol = symbol

    def run(self, left: Any, right: Any = None) -> Any:
        """Return what the operator gives."""
        if self.symbol == "not":
            return not left
        if self.symbol in {"and", "or"}:
            return (left and right) if self.symbol == "and" else (left or right)
        return _OPERATORS[self.symbol](left, right)


_OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "|": operator.or_,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class _Collection(Task):
    """Gathers its arguments; each is named by its position."""

    auto_generated = True

    def run(self, **items: Any) -> Any:
        """Return the collection."""
        return self.gather([items[str(index)] for index in range(len(items))])

    def bind(self, *args: Any, **kwargs: Any) -> Self:
        """Add this task itself to a flow, with what it is to gather."""
        return super().bind(**{str(index): item for index, item in enumerate(args)}, **kwargs)

    def gather(self, items: list[Any]) -> Any:
        """Make the collection."""
        raise NotImplementedError


class List(_Collection):
    """Gathers its arguments into a list."""

    def gather(self, items: list[Any]) -> list[Any]:
        """Make the list."""
        return items


class Tuple(_Collection):
    """Gathers its arguments into a tuple."""

    def gather(self, items: list[Any]) -> tuple[Any, ...]:
        """Make the tuple."""
        return tuple(items)


class Set(_Collection):
    """Gathers its arguments into a set."""

    def gather(self, items: list[Any]) -> set[Any]:
        """Make the set."""
        return set(items)


class FrozenSet(_Collection):
    """Gathers its arguments into a frozenset."""

    def gather(self, items: list[Any]) -> frozenset[Any]:
        """Make the frozenset."""
        return frozenset(items)


class Dict(_Collection):
    """Gathers its arguments, keys and values in turn, into a dict."""

    def gather(self, items: list[Any]) -> dict[Any, Any]:
        """Make the dict."""
        return dict(zip(items[::2], items[1::2], strict=True))


_COLLECTIONS: dict[type, type[_Collection]] = {
    list: List,
    tuple: Tuple,
    set: Set,
    frozenset: FrozenSet,
    dict: Dict,
}


_CONTAINERS: tuple[type[Any], ...] = tuple(_COLLECTIONS)


def as_task(value: Any, flow: FlowBuilding) -> Task | None:
    """Return a task for a value: itself, or one that gathers a collection; None for a constant.

    Raises:
        FlowError: the value is a collection of a kind that flows cannot gather, with tasks in it.
    """
    if isinstance(value, Task):
        return value
    if not isinstance(value, _CONTAINERS) or not _contains_task(value, set()):
        return None
    kind = _COLLECTIONS.get(type(value))
    if kind is None:
        raise FlowError(
            f"A {type(value).__name__} with tasks in it cannot be an argument; use a plain list, "
            "tuple, set or dict, and convert it in the task"
        )
    if kind is Dict:
        items = [part for item in value.items() for part in item]
    else:
        items = in_order(value, flow)
    task = kind()
    flow.set_dependencies(
        task, keyword_tasks={str(index): item for index, item in enumerate(items)}
    )
    return task


def in_order(values: Any, flow: FlowBuilding | None) -> list[Any]:
    """Return the values as a list, those of a set in an order that does not depend on hashes."""
    if not isinstance(values, (set, frozenset)):
        return list(values)
    return sorted(
        values,
        key=lambda value: (
            (flow.position(value) if flow else 0, value.name)
            if isinstance(value, Task)
            else (-1, stable_repr(value))
        ),
    )


def _contains_task(value: Any, seen: set[int]) -> bool:
    """Whether there is a task in a collection, however deep. It may contain itself."""
    if isinstance(value, Task):
        return True
    if not isinstance(value, _CONTAINERS) or id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, dict) and any(_contains_task(item, seen) for item in value.values()):
        return True
    return any(_contains_task(item, seen) for item in value)

"""Finds what in an object cannot be pickled, for the error that says so."""

from __future__ import annotations

from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_TRIED = 500
_PLAIN = (type(None), bool, int, float, str, bytes, complex)


def find_culprit(obj: Any, fails: Callable[[Any], bool]) -> tuple[list[str], list[Any]]:
    """Return the way to the innermost object that cannot be pickled, and the objects on it.

    Args:
        obj: cannot be pickled.
        fails: tries another.

    Returns:
        The names on the way, each of a global, a default or a variable, with what leads from it to the next; and
        the objects, of which the last is at its end.
    """
    steps: list[str] = []
    way = [obj]
    passed, tried = {id(obj)}, 0
    while True:
        for label, child in _children(way[-1]):
            if isinstance(child, _PLAIN) or id(child) in passed:
                continue
            passed.add(id(child))
            tried += 1
            if tried > _MOST_TRIED:
                return steps, way
            if fails(child):
                if steps and label[:1] in ".[":
                    steps[-1] += label
                else:
                    steps.append(label.lstrip("."))
                way.append(child)
                break
        else:
            return steps, way


def _children(obj: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object consists of, each with how it is written."""
    if isinstance(obj, FunctionType):
        yield from _of_function(obj)
    elif isinstance(obj, MethodType):
        yield ".__self__", obj.__self__
        yield ".__func__", obj.__func__
    elif isinstance(obj, type | ModuleType):
        name = (
            obj.__name__ if isinstance(obj, ModuleType) else f"{obj.__module__}.{obj.__qualname__}"
        )
        yield from ((f"{name}.{key}", value) for key, value in list(vars(obj).items()))
    elif isinstance(obj, dict):
        for key, value in obj.items():
            yield f"[{key!r:.40}]", value
            yield f"[{key!r:.40}]", key
    elif isinstance(obj, list | tuple):
        yield from ((f"[{number}]", value) for number, value in enumerate(obj))
    elif isinstance(obj, set | frozenset):
        yield from ((f"[{value!r:.40}]", value) for value in obj)
    else:
        yield from _of_instance(obj)


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    code, around = function.__code__, function.__globals__
    names = [*code.co_names]
    for constant in code.co_consts:
        names += getattr(constant, "co_names", ())
    for name in names:
        if name in around:
            yield f"{function.__module__}.{name}", around[name]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        yield f"{name} of {function.__qualname__}", getattr(cell, "cell_contents", None)
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield f"a default of {function.__qualname__}", value
    yield from ((f".{name}", value) for name, value in vars(function).items())


def _of_instance(obj: Any) -> Iterator[tuple[str, Any]]:
    try:
        reduced = obj.__reduce_ex__(5)
    except Exception:  # noqa: BLE001 - it is the culprit, or its state is
        reduced = None
    if not isinstance(reduced, tuple):
        return
    _, arguments, state, items, pairs = (*reduced, None, None, None, None)[:5]
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict):
            yield from ((f".{name}", value) for name, value in part.items())
        elif part is not None:
            yield ".state", part
    yield from ((f"[{number}]", value) for number, value in enumerate(items or ()))
    yield from ((f"[{key!r:.40}]", value) for key, value in pairs or ())
    yield from ((".argument", value) for value in arguments or () if value is not type(obj))

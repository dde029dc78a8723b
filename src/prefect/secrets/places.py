"""Where in a flow something is held that should not travel: asked only when it was found."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, CodeType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prefect.core.flow import Flow

_DEEPEST = 4  # of containers within each other
_MOST_MODULES = 100


def place_in(flow: Flow, is_it: Callable[[bytes], bool], files: Iterable[str] = ()) -> str:
    """Return " (the global KEY of etl)" or the like; "" where it is held in a more hidden way.

    Args:
        is_it: tells whether bytes hold what was found.
        files: paths of those that travel with the flow.
    """
    if any(is_it(path.encode("utf-8", "surrogatepass")) for path in files):
        return " (the name of a file that travels with it)"
    spaces: list[tuple[str, dict[str, Any]]] = []
    for task in flow.tasks:
        for function in _functions(task):
            code = function.__code__
            for place, value in (
                *((f"the variable {name}", cell) for name, cell in _cells(function)),
                ("a default value", function.__defaults__),
                ("a default value", function.__kwdefaults__),
                ("the text", list(_constants(code))),
            ):
                if _holds(value, is_it):
                    return f" ({place} of the task {task.name!r})"
            spaces.append((function.__module__, function.__globals__))
        for name, value in vars(task).items():
            if _holds(value, is_it):
                return f" (the attribute {name} of the task {task.name!r})"
    return _global(spaces, is_it)


def _global(spaces: list[tuple[str, dict[str, Any]]], is_it: Callable[[bytes], bool]) -> str:
    """Search the modules of tasks, and those that they import from."""
    seen: set[int] = set()
    while spaces and len(seen) < _MOST_MODULES:
        module, names = spaces.pop(0)
        if id(names) in seen:
            continue
        seen.add(id(names))
        for name, value in list(names.items()):
            if not name.startswith("__") and _holds(value, is_it):
                return f" (the global {name} of {module})"
            if isinstance(value, ModuleType):
                # What the standard library holds does not travel, such as sys.argv.
                if value.__name__.partition(".")[0] in sys.stdlib_module_names:
                    continue
                spaces.append((value.__name__, vars(value)))
            elif isinstance(space := getattr(value, "__globals__", None), dict):
                spaces.append((str(getattr(value, "__module__", "")), space))
                if any(_holds(text, is_it) for text in _constants(value.__code__)):
                    return f" (the text of {name} in {module})"
    return ""


def _functions(task: Any) -> Iterator[Any]:
    for value in (type(task).run, *vars(task).values()):
        function = getattr(value, "__func__", value)
        if hasattr(function, "__code__") and not isinstance(function, BuiltinFunctionType):
            yield function


def _cells(function: Any) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is still empty
            continue


def _constants(code: CodeType) -> Iterator[Any]:
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _constants(value)
        else:
            yield value


def _holds(value: Any, is_it: Callable[[bytes], bool], depth: int = 0) -> bool:
    if isinstance(value, str):
        return is_it(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes | bytearray | memoryview):
        return is_it(bytes(value))
    if depth == _DEEPEST:
        return False
    if isinstance(value, dict):
        items: Any = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        items = list(value)
    else:
        return False
    return any(_holds(item, is_it, depth + 1) for item in items)

"""Finds local modules that can travel only as source, for what a library has made of their classes."""

from __future__ import annotations

import sys
from itertools import accumulate
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from prefect.core.flow import Flow
from prefect.engine.executors.source_imports import imported
from prefect.payload.source_modules import SourceModules, source_attribute, source_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.payload.source_lines import SourceLines


def with_registered_classes(
    local: dict[str, ModuleType], can_travel: Callable[[type], bool]
) -> list[str]:
    """Return the names of local modules with a class that cannot travel by itself.

    Only classes that a library has to do with are tried: by their metaclass, or by what it put into them. What makes a
    flow is never executed anew, for it may run it, too.

    Args:
        local: the local modules.
        can_travel: tries one.
    """
    return [
        name
        for name, module in local.items()
        if any(_is_of_a_library(kind, local) and not can_travel(kind) for kind in _classes(module))
        and not any(issubclass(type(value), Flow) for value in list(vars(module).values()))
    ]


def _classes(module: ModuleType) -> Iterator[type]:
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield value


def _is_of_a_library(kind: type, local: dict[str, ModuleType]) -> bool:
    values = (value for value in vars(kind).values() if not isinstance(value, FunctionType))
    return any(_is_installed(each, local) for each in (type(kind), *map(type, values)))


def _is_installed(kind: type, local: dict[str, ModuleType]) -> bool:
    name = kind.__module__
    return name not in local and name.partition(".")[0] not in {
        *sys.stdlib_module_names,
        "__main__",
    }


class Registered:
    """How the modules travel that are executed anew, and those of the local ones that they import.

    Args:
        names: of the modules.
        local: the local modules.
        source: finds their lines, and notes them.
    """

    def __init__(self, names: list[str], local: dict[str, ModuleType], source: SourceLines) -> None:
        self.imported: set[str] = set()
        """What they import that is not local, or not loaded here."""
        sources: dict[str, tuple[str, str, bool]] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in sources:
                continue
            module = local[name]
            path = getattr(module, "__file__", None)
            lines = source.lines(path) if path else []
            if path:
                source.note(path, range(1, len(lines) + 1))
            file = source.own_name(path) if path else f"<{name}>"
            is_package = hasattr(module, "__path__")
            text = "".join(lines)
            sources[name] = text, file, is_package
            waiting += accumulate(name.split(".")[:-1], "{}.{}".format)
            for found, is_module in imported(text, name, is_package=is_package):
                if found in local:
                    waiting.append(found)
                elif is_module:
                    self.imported.add(found)
        self.sources = dict(sorted(sources.items()))
        self.modules = SourceModules(self.sources)
        self._values = {
            id(value): (name, key)
            for name in self.sources
            for key, value in vars(local[name]).items()
            if key[:2] != "__" and not isinstance(value, ModuleType | FunctionType | type)
        }

    def reduce(self, obj: Any) -> tuple[Any, ...] | None:
        """Return how to pickle what is in one of the modules; None for everything else."""
        if isinstance(obj, ModuleType):
            name = obj.__name__
            return (source_module, (self.modules, name)) if name in self.sources else None
        if isinstance(obj, type | FunctionType):
            name, path = obj.__module__, obj.__qualname__
            found: Any = sys.modules.get(name) if name in self.sources else None
            for part in path.split("."):
                found = getattr(found, part, None)
            return (source_attribute, (self.modules, name, path)) if found is obj else None
        if place := self._values.get(id(obj)):
            return source_attribute, (self.modules, *place)
        return None


class SourceGlobals:
    """Pickles as the dict of a module that is executed anew, for functions of it that it does not name."""

    def __init__(self, modules: SourceModules, name: str) -> None:
        self._parts = modules, name

    def __reduce__(self) -> tuple[Any, ...]:
        return vars, (_Module(*self._parts),)


class _Module:
    def __init__(self, modules: SourceModules, name: str) -> None:
        self._parts = modules, name

    def __reduce__(self) -> tuple[Any, ...]:
        return source_module, self._parts

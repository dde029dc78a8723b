"""Local modules that travel as source, and are executed where the flow is loaded.

Some classes are more than what is in them: a metaclass or a decorator of a library has entered them in a registry, as
SQLAlchemy does with models. They cannot be put together from their parts, but their module can be executed anew.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    Sources = dict[str, tuple[str, str, bool]]


class SourceModules:
    """Modules by their sources, executed when one of them is first asked for.

    They import each other, whatever else has their names; what has is found again afterwards.

    Args:
        sources: of each module, by its name: the text, what its file is called, and whether it is a package.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._made: dict[str, ModuleType] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return SourceModules, (self._sources,)

    def module(self, name: str) -> ModuleType:
        """Return a module."""
        if not self._made:
            self._execute()
        return self._made[name]

    def _execute(self) -> None:
        others = {name: sys.modules.pop(name) for name in self._sources if name in sys.modules}
        finder = _Finder(self._sources)
        sys.meta_path.insert(0, finder)
        try:
            made = {name: importlib.import_module(name) for name in self._sources}
        finally:
            sys.meta_path.remove(finder)
            sys.modules.update(others)
        self._made = made


class _Finder:
    """Finds and loads modules whose sources it has."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Return how to load a module; None for those of others."""
        del path, target
        if name not in self._sources:
            return None
        _, file, is_package = self._sources[name]
        return ModuleSpec(name, cast("Any", self), origin=file, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> None:
        """Have Python make it."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute it."""
        text, file, _ = self._sources[module.__name__]
        module.__file__ = file
        exec(compile(text, file, "exec"), vars(module))  # noqa: S102 - authenticated, as the pickle is

    def get_source(self, name: str) -> str:
        """Return its text, for tracebacks."""
        return self._sources[name][0]


def source_module(modules: SourceModules, name: str) -> ModuleType:
    """Return a module. Payloads call this."""
    return modules.module(name)


def source_attribute(modules: SourceModules, name: str, path: str) -> Any:
    """Return what a module has under a name, or a dotted path of names. Payloads call this."""
    found: Any = modules.module(name)
    for part in path.split("."):
        found = getattr(found, part)
    return found

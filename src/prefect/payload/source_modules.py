"""Local modules that travel as source, and are executed where the flow is loaded.

Some classes are more than what is in them: a metaclass or a decorator of a library has entered them in a registry, as
SQLAlchemy does with models. They cannot be put together from their parts, but their module can be executed anew.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from prefect.engine.executors.brought import BROUGHT, SourceFinder

if TYPE_CHECKING:
    from types import ModuleType

    from prefect.engine.executors.brought import Sources


class SourceModules:
    """Modules by their sources, executed when one of them is first asked for.

    Where these very modules are there already, as in the process that packaged the flow, they are taken: a registry
    may hold a class once. Else they import each other, whatever has their names, and what has is found again afterwards.

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
            self._made = self._there() or self._execute()
            BROUGHT.update(self._sources)
        return self._made[name]

    def _there(self) -> dict[str, ModuleType] | None:
        """Return them as this process has them; None where it lacks one, or has another."""
        found: dict[str, ModuleType] = {}
        for name, (text, _, _) in self._sources.items():
            module = sys.modules.get(name)
            if module is None or _lines(module) != text.splitlines():
                return None
            found[name] = module
        return found

    def _execute(self) -> dict[str, ModuleType]:
        others = {name: sys.modules.pop(name) for name in self._sources if name in sys.modules}
        finder = SourceFinder(self._sources)
        sys.meta_path.insert(0, finder)
        try:
            return {name: importlib.import_module(name) for name in self._sources}
        finally:
            sys.meta_path.remove(finder)
            sys.modules.update(others)


def _lines(module: ModuleType) -> list[str] | None:
    """Return the lines of a module's source; None where they cannot be had."""
    try:
        text = module.__spec__.loader.get_source(module.__name__)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError):
        return None
    return None if text is None else text.splitlines()


def source_module(modules: SourceModules, name: str) -> ModuleType:
    """Return a module. Payloads call this."""
    return modules.module(name)


def source_attribute(modules: SourceModules, name: str, path: str) -> Any:
    """Return what a module has under a name, or a dotted path of names. Payloads call this."""
    found: Any = modules.module(name)
    for part in path.split("."):
        found = getattr(found, part)
    return found

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
        finder = SourceFinder(self._sources)
        sys.meta_path.insert(0, finder)
        try:
            made = {name: importlib.import_module(name) for name in self._sources}
        finally:
            sys.meta_path.remove(finder)
            sys.modules.update(others)
        self._made = made
        BROUGHT.update(self._sources)


def source_module(modules: SourceModules, name: str) -> ModuleType:
    """Return a module. Payloads call this."""
    return modules.module(name)


def source_attribute(modules: SourceModules, name: str, path: str) -> Any:
    """Return what a module has under a name, or a dotted path of names. Payloads call this."""
    found: Any = modules.module(name)
    for part in path.split("."):
        found = getattr(found, part)
    return found

"""Local modules that travel as source, and are executed where the flow is loaded.

Some classes are more than what is in them: a metaclass or a decorator of a library has entered them in a registry, as
SQLAlchemy does with models. They cannot be put together from their parts, but their module can be executed anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.engine.executors.brought import Modules

if TYPE_CHECKING:
    from types import ModuleType

    from prefect.engine.executors.brought import Sources


class SourceModules:
    """Modules by their sources, as a payload has them.

    Args:
        sources: of each module, by its name: the text, what its file is called, and whether it is a package.
    """

    def __init__(self, sources: Sources) -> None:
        self._modules = Modules(sources)

    def __reduce__(self) -> tuple[Any, ...]:
        return SourceModules, (self._modules.sources,)

    def module(self, name: str) -> ModuleType:
        """Return a module."""
        return self._modules.module(name)


def source_module(modules: SourceModules, name: str) -> ModuleType:
    """Return a module. Payloads call this."""
    return modules.module(name)


def source_attribute(modules: SourceModules, name: str, path: str) -> Any:
    """Return what a module has under a name, or a dotted path of names. Payloads call this."""
    found: Any = modules.module(name)
    for part in path.split("."):
        found = getattr(found, part)
    return found

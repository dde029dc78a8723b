"""Local modules that a flow has brought as source: found by name in this process, and in those that do its tasks.

What is of them is pickled by its name. So a process to which tasks are sent finds the same sources, before anything
is loaded there.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any, TypeAlias

    Sources: TypeAlias = dict[str, tuple[str, str, bool]]
    """Of each module, by its name: the text, what its file is called, and whether it is a package."""

BROUGHT: Sources = {}
"""Those that were executed in this process, for a flow that was loaded here."""


class SourceFinder:
    """Finds and loads modules whose sources it has.

    Args:
        sources: of the modules.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Return how to load a module; None for those of others."""
        del path, target
        if name not in self.sources:
            return None
        _, file, is_package = self.sources[name]
        loader: Any = self
        return ModuleSpec(name, loader, origin=file, is_package=is_package)

    def create_module(self, spec: ModuleSpec) -> None:
        """Have Python make it."""

    def exec_module(self, module: ModuleType) -> None:
        """Execute it."""
        text, file, _ = self.sources[module.__name__]
        module.__file__ = file
        exec(compile(text, file, "exec"), vars(module))  # noqa: S102 - authenticated, as the pickle is

    def get_source(self, name: str) -> str:
        """Return its text, for tracebacks."""
        return self.sources[name][0]


def bring(sources: Sources) -> None:
    """Have modules found by their names from now on, instead of others that have these names.

    Args:
        sources: of the modules.
    """
    for name, source in sources.items():
        if (there := sys.modules.get(name)) is not None and _source(there) != source:
            del sys.modules[name]
    BROUGHT.update(sources)
    if not any(isinstance(finder, _Brought) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Brought(BROUGHT))


class _Brought(SourceFinder):
    """Finds all that was brought, for as long as the process lives."""


def _source(module: ModuleType) -> tuple[str, str, bool] | None:
    """Return the source of a module that was brought; None of another."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return loader.sources.get(module.__name__) if isinstance(loader, SourceFinder) else None

"""Paths of a package's own files, which are elsewhere in each place.

A payload holds none of the paths that it was packaged with: what stood beside the flow's file is
a call of `located`, which answers with the directory of the run that loads it.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.frozen import frozen
from prefect.payload import packaged_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect.payload.packaged_module import PackagedModule

_loading = threading.RLock()  # a flow may load another one
_root = ""
_roots: list[str] = []


def located(place: str) -> str:
    """Return the path of a place in the package: absolute where the package's files are unpacked."""
    return f"{_root}/{place}".removesuffix("/.") if _root else place


def located_path(place: str) -> Path:
    """Return the same as a Path."""
    return Path(located(place))


def with_roots(flow: Any, roots: Iterable[str]) -> Any:
    """Return the flow, of which a payload calls this: packages with files that travel are below these places."""
    _roots.extend(map(located, roots))
    return flow


@frozen
class Unpacked:
    """What a load has found of a package's own files.

    Args:
        modules: those that it made.
        roots: directories that have packages whose files travelled.
    """

    modules: list[PackagedModule]
    roots: list[str]


@contextmanager
def unpacked_in(directory: Path | None) -> Iterator[Unpacked]:
    """Have what is loaded find the package's files in a directory.

    Args:
        directory: absolute; None where no files travel.
    """
    global _root, _roots
    with _loading:
        former = _root, _roots, packaged_module.made
        _root, _roots = "" if directory is None else str(directory), []
        modules: list[PackagedModule] = []
        packaged_module.made = modules
        try:
            yield Unpacked(modules, _roots)
        finally:
            _root, _roots, packaged_module.made = former


@contextmanager
def importable(unpacked: Unpacked, directory: Path | None) -> Iterator[None]:
    """Have `importlib.resources` and imports find packaged modules by their names for a while.

    A module of that name that was imported here already stays what it is. Of a package whose files
    travelled alone, as only a text names it, the directory is found. What is of such a module goes on to
    other processes by value, as no name is known there.

    Args:
        directory: where the files are; None where there are none.
    """
    if directory is None:
        yield
        return
    import cloudpickle  # noqa: PLC0415 - which loading has imported

    added: dict[str, PackagedModule] = {}
    for module in unpacked.modules:
        if _describe(module) and module.__name__ not in sys.modules:
            added[module.__name__] = module
            sys.modules[module.__name__] = module
            cloudpickle.register_pickle_by_value(module)
    paths = [str(directory), *unpacked.roots]
    sys.path[:0] = paths
    try:
        yield
    finally:
        for path in paths:
            with suppress(ValueError):  # somebody else took it out
                sys.path.remove(path)
        for name, module in added.items():
            with suppress(ValueError):
                cloudpickle.unregister_pickle_by_value(module)
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _describe(module: PackagedModule) -> bool:
    """Give a module what the import system would have given it, where its files are."""
    paths: list[str] = list(getattr(module, "__path__", ()))
    file = getattr(module, "__file__", None) or (f"{paths[0]}/__init__.py" if paths else "")
    if not file.startswith("/"):
        return False
    loader = SourceFileLoader(module.__name__, file)
    spec = ModuleSpec(module.__name__, loader, origin=file, is_package=bool(paths))
    spec.submodule_search_locations = paths or None
    module.__spec__ = spec
    module.__loader__ = loader
    return True

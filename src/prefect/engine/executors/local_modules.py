"""Local modules of this process, on their way to workers elsewhere, which cannot import them by their names.

They go as source, which is executed there when something of them is needed, as processes of this machine do by import.
What makes a flow might run it as well, and is never executed anew: what tasks use of it goes by value.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager, suppress
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from itertools import accumulate
from threading import Lock

from prefect.core.flow import Flow
from prefect.engine.executors.brought import Modules, sending_here, text_of
from prefect.engine.executors.source_imports import imported, mentioned
from prefect.engine.executors.travelling import by_value
from prefect.installed import are_local, is_local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from prefect.engine.executors.brought import Sources

_lock = Lock()
_by_value: Counter[str] = Counter()


class LocalModules:
    """The local modules that are imported by now, for one run on workers elsewhere."""

    def __init__(self) -> None:
        with _lock:  # what a user has registered goes by value anyway; what another run has is its own affair
            local = {
                name: module
                for name, module in list(sys.modules.items())
                if name != "__main__"
                and is_local(name, module)
                and (_by_value[name] or not by_value(name))
            }
        makers = {name for name, module in local.items() if _makes_a_flow(module)}
        sources = {
            name: (
                text,
                getattr(module, "__file__", None) or f"<{name}>",
                hasattr(module, "__path__"),
            )
            for name, module in sorted(local.items())
            if name not in makers and (text := _text(module)) is not None
        }
        texts = [(each, *source) for each, source in sources.items()]
        texts += [
            (name, text_of(module) or _text_of_script(module), "", hasattr(module, "__path__"))
            for name, module in [
                *((n, local[n]) for n in makers),
                ("__main__", sys.modules["__main__"]),
            ]
        ]
        sources |= _imported_later(texts, {*local})
        # A package that makes a flow is there for what is in it.
        for name in makers:
            if hasattr(local[name], "__path__"):
                sources[name] = ("", getattr(local[name], "__file__", None) or f"<{name}>", True)
        made = {name: local[name] for name in sources if name in local and name not in makers}
        self._modules = Modules.here(sources, made)
        self._makers = makers
        with _lock:
            for name in makers:
                _by_value[name] += 1
                by_value(name, on=True)

    @property
    def digests(self) -> set[str]:
        """What says which modules they are, if there are any."""
        return {self._modules.digest} if self._modules.sources else set()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Have what is of these modules pickled for workers elsewhere."""
        token = sending_here.set(self._modules)
        try:
            yield
        finally:
            sending_here.reset(token)

    def close(self) -> None:
        """Let others pickle by names again."""
        with _lock:
            for name in self._makers:
                _by_value[name] -= 1
                if not _by_value[name]:
                    with suppress(KeyError, ValueError):  # somebody else took it out, or the module
                        by_value(name, on=False)
            self._makers = set()


def _makes_a_flow(module: ModuleType) -> bool:
    # By their types: lazy objects make themselves when they are asked for their class.
    return any(issubclass(type(value), Flow) for value in list(vars(module).values()))


def _text_of_script(module: ModuleType) -> str:
    import linecache  # noqa: PLC0415  # for runs elsewhere alone

    return "".join(linecache.getlines(getattr(module, "__file__", None) or ""))


def _imported_later(texts: list[tuple[str, str, str, bool]], known: set[str]) -> Sources:
    """Return the local modules that are not imported yet, but may be, within functions. Nothing is executed."""
    found: Sources = {}
    there: dict[str, tuple[str, str, bool] | None] = {}
    places: dict[str, list[str]] = {}  # of packages among them
    while texts:
        around, text, _, is_package = texts.pop()
        exact: set[str] | None = None
        for name in mentioned(text, around, is_package=is_package):
            if name in known or name.partition(".")[0] in sys.stdlib_module_names:
                continue
            if name not in there:
                there[name] = None if name in sys.modules else _source_of(name, places)
            if (source := there[name]) is None:
                continue
            if exact is None:
                exact = _names_imported(text, around, is_package=is_package)
            if name not in exact:  # but spoken of, in a comment for example
                continue
            known.add(name)
            found[name] = source
            texts.append((name, *source))
            # A namespace package is there for what is in it; else it may be any directory.
            for above in accumulate(name.split(".")[:-1], "{}.{}".format):
                if above in places:
                    found.setdefault(above, ("", f"<{above}>", True))
    return found


def _names_imported(text: str, around: str, *, is_package: bool) -> set[str]:
    try:
        return {name for name, _ in imported(text, around, is_package=is_package)}
    except (SyntaxError, ValueError):  # a notebook's cell may have commands of its own
        return {*mentioned(text, around, is_package=is_package)}


def _source_of(name: str, places: dict[str, list[str]]) -> tuple[str, str, bool] | None:
    """Return the source of a local module; None of others, and of namespace packages, which have none."""
    package, _, last = name.rpartition(".")
    path: list[str] | None = None
    if package:
        path = places.get(package) or [*getattr(sys.modules.get(package), "__path__", ())]
    try:
        # By its last part: Python would ask the modules above for what is in a namespace package.
        spec = PathFinder.find_spec(last, path)
        if spec is None:
            return None
        inner = spec.submodule_search_locations
        if not are_local([spec.origin, *(inner or ())]):
            return None
        text = None if spec.origin is None else spec.loader.get_source(last)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError, SyntaxError, ValueError):
        return None
    if inner is not None and (text is not None or spec.origin is None):
        places[name] = [*inner]
    return None if text is None else (text, spec.origin or "", inner is not None)


def _text(module: ModuleType) -> str | None:
    """Return a module's source; None of what is machine code, or was made without a file."""
    file = getattr(module, "__file__", None)
    if file is None:
        return "" if hasattr(module, "__path__") else None  # a namespace package has no source
    return None if file.endswith(tuple(EXTENSION_SUFFIXES)) else text_of(module)

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
from prefect.engine.executors.travelling import by_value
from prefect.installed import are_local, is_local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from prefect.engine.executors.brought import Sources

_lock = Lock()
_by_value: Counter[str] = Counter()
_TRIES = 10


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
    """Return the local modules that are not imported yet, but will be, within functions."""
    found: Sources = {}
    while texts:
        around, text, _, is_package = texts.pop()
        for name in _imports(text, around, is_package):
            if name in known or name.partition(".")[0] in sys.stdlib_module_names:
                continue
            known.add(name)
            if name not in sys.modules and (source := _source_of(name, found)) is not None:
                found[name] = source
                texts.append((name, *source))
    return found


def _imports(text: str, module: str, is_package: bool) -> Iterator[str]:
    """Yield the names that code imports, or may, packages before what is in them."""
    import ast  # noqa: PLC0415  # for runs elsewhere alone

    for _ in range(_TRIES):
        try:
            with _lock:
                tree = ast.parse(text)
            break
        except SystemError:  # Python 3.11 miscounts where another thread parses meanwhile
            continue
        except (SyntaxError, ValueError):
            return
    else:
        return
    around = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = around[: len(around) - node.level + 1] if node.level else []
            start = ".".join([*above, *filter(None, [node.module])])
            names = [f"{start}.{each.name}".lstrip(".") for each in node.names]
        else:
            continue
        for name in names:
            yield from accumulate(name.split("."), "{}.{}".format)


def _source_of(name: str, found: Sources) -> tuple[str, str, bool] | None:
    """Return the source of a module that is not imported, if it is a local one; nothing is executed for it."""
    package, _, _ = name.rpartition(".")
    path: list[str] | None = None
    if package in found:
        path = [found[package][1].rpartition("/")[0]]
    elif package:
        path = list(getattr(sys.modules.get(package), "__path__", ()))
    try:
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.origin is None or not are_local([spec.origin]):
            return None
        text = spec.loader.get_source(name)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError, ValueError):
        return None
    is_package = spec.submodule_search_locations is not None
    return None if text is None else (text, spec.origin, is_package)


def _text(module: ModuleType) -> str | None:
    """Return a module's source; None of what is machine code, or was made without a file."""
    file = getattr(module, "__file__", None)
    if file is None:
        return "" if hasattr(module, "__path__") else None  # a namespace package has no source
    return None if file.endswith(tuple(EXTENSION_SUFFIXES)) else text_of(module)

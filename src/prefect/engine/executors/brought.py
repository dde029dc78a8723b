"""Local modules that a flow has brought as source: executed in this process, and in those that do its tasks.

Several flows in one process may bring different modules of one name. So what is of them is not pickled by that name
alone, but with the digest of the sources that it came with; a process to which tasks are sent gets the sources before.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType

from prefect.errors import CompatibilityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, TypeAlias

    Sources: TypeAlias = dict[str, tuple[str, str, bool]]
    """Of each module, by its name: the text, what its file is called, and whether it is a package."""

_known: dict[str, Modules] = {}
"""Those of this process by their digests: of two loads of one flow, a registry may hold a class once."""
_lock = threading.RLock()
_needed: ContextVar[set[str] | None] = ContextVar("prefect.needed_modules", default=None)


class Modules:
    """The modules that one flow brings, executed when one of them is first asked for, once in a process.

    Where these very modules are there already, as in the process that packaged the flow, they are taken. Else they
    import each other, whatever else has their names, also later, within functions.

    Args:
        sources: of the modules.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.digest = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()
        self.made: dict[str, ModuleType] = {}
        self._builtins = vars(builtins) | {"__import__": self._import}

    def module(self, name: str) -> ModuleType:
        """Return a module."""
        known = _known.setdefault(self.digest, self)
        if known is not self:
            return known.module(name)
        with _lock:
            if not self.made:
                self.made = self._there() or self._execute()
        return self.made[name]

    def _there(self) -> dict[str, ModuleType] | None:
        """Return them as this process has them; None where it lacks one, or has another."""
        found: dict[str, ModuleType] = {}
        for name, (text, _, _) in self.sources.items():
            module = sys.modules.get(name)
            if module is None or _lines(module) != text.splitlines():
                return None
            found[name] = module
        return found

    def _execute(self) -> dict[str, ModuleType]:
        others = {name: sys.modules.pop(name) for name in self.sources if name in sys.modules}
        finder: Any = self
        sys.meta_path.insert(0, finder)
        try:
            made = {name: importlib.import_module(name) for name in self.sources}
        except BaseException:
            for name in self.sources:
                sys.modules.pop(name, None)
            sys.modules.update(others)
            raise
        finally:
            sys.meta_path.remove(finder)
        # A module of a file stays in its place; one that was brought makes way for what came later.
        sys.modules.update({name: each for name, each in others.items() if not _is_brought(each)})
        return made

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
        vars(module)["__builtins__"] = self._builtins
        exec(compile(text, file, "exec"), vars(module))  # noqa: S102 - authenticated, as the pickle is

    def get_source(self, name: str) -> str:
        """Return its text, for tracebacks."""
        return self.sources[name][0]

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  # as Python calls it
        locals: Mapping[str, Any] | None = None,  # noqa: A002  # the same
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what an import statement does in one of the modules."""
        whole = name
        if level and globals is not None:
            whole = importlib.util.resolve_name("." * level + name, globals["__package__"])
        if whole in self.made:
            return self.made[whole if fromlist else whole.partition(".")[0]]
        return __import__(name, globals, locals, fromlist or (), level)


def bring(sources: Iterable[Sources]) -> None:
    """Have modules found in this process, to which tasks are sent that need them.

    Args:
        sources: of the modules, of each flow.
    """
    for each in sources:
        modules = Modules(each)
        _known.setdefault(modules.digest, modules)


def is_any() -> bool:
    """Tell whether anything was brought to this process."""
    return bool(_known)


def sources_of(digests: Iterable[str]) -> list[Sources]:
    """Return the sources to be sent to others."""
    return [_known[digest].sources for digest in digests]


@contextmanager
def noting(digests: set[str]) -> Iterator[None]:
    """Have the digests noted of the modules that what is pickled meanwhile needs."""
    token = _needed.set(digests)
    try:
        yield
    finally:
        _needed.reset(token)


def reduced(value: Any) -> tuple[Callable[..., Any], tuple[str, ...]] | None:
    """Return how to pickle what is in a module that was brought; None for everything else."""
    if not isinstance(value, type | FunctionType | ModuleType):
        return None
    is_module = isinstance(value, ModuleType)
    name = str(value.__name__ if is_module else value.__module__)
    path = "" if is_module else value.__qualname__
    for modules in list(_known.values()):
        found: Any = modules.made.get(name)
        for part in filter(None, path.split(".")):
            found = getattr(found, part, None)
        if found is value:
            if (digests := _needed.get()) is not None:
                digests.add(modules.digest)
            return brought, (modules.digest, name, path)
    return None


def brought(digest: str, name: str, path: str) -> Any:
    """Return what was pickled so.

    Raises:
        CompatibilityError: the modules have not come to this process.
    """
    modules = _known.get(digest)
    if modules is None:
        raise CompatibilityError(
            f"The module {name!r} of the flow that this is of has not come to this process: run it again"
        )
    found: Any = modules.module(name)
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    return found


def _lines(module: ModuleType) -> list[str] | None:
    """Return the lines of a module's source; None where they cannot be had."""
    try:
        text = module.__spec__.loader.get_source(module.__name__)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError):
        return None
    return None if text is None else text.splitlines()


def _is_brought(module: ModuleType) -> bool:
    return isinstance(getattr(getattr(module, "__spec__", None), "loader", None), Modules)

"""Local modules that a flow has brought as source: executed in this process, and in those that do its tasks.

Several flows in one process may bring different modules of one name. So what is of them is not pickled by that name
alone, but with the digest of the sources that it came with; a process to which tasks are sent gets the sources before.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType, SimpleNamespace

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
_MOST_WAITED = 1.0
"""Seconds for which an import waits for modules that another thread executes."""
sending_here: ContextVar[Modules | None] = ContextVar("prefect.local_modules", default=None)
"""Modules of this process that go to workers elsewhere, while something is pickled for these."""
_needed: ContextVar[set[str] | None] = ContextVar("prefect.needed_modules", default=None)


class Modules:
    """The modules that one flow brings, executed when one of them is first asked for, once in a process.

    Where these very modules are there already, as in the process that packaged the flow, they are taken. Else they
    import each other, whatever else has their names, also later, within functions.

    Args:
        sources: of the modules.
        whole: whether all are executed as soon as one is needed, for they may know each other by a registry of a
            library; else each is as it is needed.
    """

    def __init__(self, sources: Sources, *, whole: bool = True) -> None:
        self.sources = sources
        self.whole = whole
        self.is_here = False
        """Whether this process has imported them by their names, by which its others find them."""
        self.digest = hashlib.sha256(repr((whole, sorted(sources.items()))).encode()).hexdigest()
        self.made: dict[str, ModuleType] = {}
        self.runs = 0
        """How many runs have brought them to this process, and have not ended."""
        self.has_ended = False
        """Whether all of those have."""
        self.tops = frozenset(map(top_of, sources))
        self._executes = False
        self.builtins = vars(builtins) | {"__import__": self._import}

    @classmethod
    def here(cls, sources: Sources, made: dict[str, ModuleType]) -> Modules:
        """Return modules that this process has imported by their names."""
        found = cls(sources, whole=False)
        with _lock:
            known = _known.setdefault(found.digest, found)
            if known is found or known.is_here:  # else they were brought to this process, too
                known.made, known.is_here = made, True
        return known

    def module(self, name: str) -> ModuleType:
        """Return a module."""
        known = _known.setdefault(self.digest, self)
        if known is not self:
            return known.module(name)
        with _lock:
            if name not in self.made:
                self.made |= self._there() or self._execute(self.sources if self.whole else [name])
        return self.made[name]

    def _there(self) -> dict[str, ModuleType] | None:
        """Return them as this process has them; None where it lacks one, or has another.

        One that others have brought goes by their digest, which its home need not know.
        """
        found: dict[str, ModuleType] = {}
        for name, (text, _, _) in self.sources.items():
            module = sys.modules.get(name)
            if module is None or _is_brought(module) or _lines(module) != text.splitlines():
                return None
            found[name] = module
        return found

    def _execute(self, names: Iterable[str]) -> dict[str, ModuleType]:
        others = {name: sys.modules.pop(name) for name in self.sources if name in sys.modules}
        sys.modules.update(self.made)
        finder: Any = self
        sys.meta_path.insert(0, finder)
        self._executes = True
        try:
            for name in names:
                importlib.import_module(name)
            made = {name: sys.modules[name] for name in self.sources if name in sys.modules}
        except BaseException:
            for name in self.sources:
                sys.modules.pop(name, None)
            sys.modules.update(others)
            raise
        finally:
            self._executes = False
            sys.meta_path.remove(finder)
        # A module of a file stays in its place, and no other comes into its package; one that was brought makes way
        # for what came later.
        files = {name: each for name, each in others.items() if not _is_brought(each)}
        tops = {*map(top_of, files)}
        for name in made:
            if top_of(name) in tops:
                sys.modules.pop(name, None)
        sys.modules.update(files)
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
        spec = ModuleSpec(name, loader, origin=file, is_package=is_package)
        if is_package and (directory := _directory_of(file)):
            spec.submodule_search_locations = [directory]  # where data may lie
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Have Python make it, unless it was made."""
        return self.made.get(spec.name)

    def get_resource_reader(self, name: str) -> Any:
        """Return what reads the data beside a module, where this machine has its directory; None elsewhere."""
        file = self.sources[name][1]
        if not _directory_of(file):
            return None
        from importlib.readers import FileReader  # noqa: PLC0415  # seldom needed

        return FileReader(SimpleNamespace(path=file))  # type: ignore[arg-type]

    def exec_module(self, module: ModuleType) -> None:
        """Execute it."""
        if self.made.get(module.__name__) is module:
            return
        text, file, _ = self.sources[module.__name__]
        module.__file__ = file
        vars(module)["__builtins__"] = self.builtins
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
        if self._executes or whole not in self.sources:  # then Python finds them
            return __import__(name, globals, locals, fromlist or (), level)
        module = self.module(whole)
        names = [*(fromlist or ())]
        if "*" in names:
            names += getattr(module, "__all__", ())
        for each in names:  # what a package has under the name comes first, as ever
            if (inner := f"{whole}.{each}") in self.sources and not hasattr(module, each):
                self.module(inner)
        if fromlist:
            return module
        top = top_of(whole)
        return self.made.get(top) or __import__(top)  # which may be a namespace that others share


class _ByName:
    """Finds what was brought last of a name, for who has nothing but the name, where nothing else has it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Return how to load a module; None for those of others."""
        del path, target
        for modules in reversed(list(_known.values())):
            if name in modules.sources and not (modules.is_here or modules.has_ended):
                # Who has the lock may wait for this very import; then Python executes it by itself.
                if _lock.acquire(timeout=_MOST_WAITED):
                    try:
                        modules.module(name)
                    finally:
                        _lock.release()
                return modules.find_spec(name)
        return None


class _Below:
    """Finds what is in a package that was brought among what came with that: its directory may have another by now."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Return how to load a module; None for those of others."""
        del path, target
        package = sys.modules.get(name.rpartition(".")[0])
        if package is None or not _is_brought(package):
            return None
        modules: Modules = package.__spec__.loader  # type: ignore[union-attr, assignment]
        return modules.find_spec(name)


_by_name: Any = _ByName()
_below: Any = _Below()


def bring(sources: Iterable[Sources], *, whole: bool = True) -> None:
    """Have modules found in this process, to which tasks are sent that need them.

    Args:
        sources: of the modules, of each flow.
        whole: see `Modules`.
    """
    for each in sources:
        modules = Modules(each, whole=whole)
        modules = _known.pop(modules.digest, modules)
        _known[modules.digest] = modules  # the last one
        modules.runs += 1
        modules.has_ended = False
        for name in modules.sources:
            if (other := sys.modules.get(name)) is not None and _is_ended(other):
                _drop(name)
        for name, module in list(modules.made.items()):  # of a run before this one
            top = modules.made.get(top_of(name))
            if top is None or sys.modules.get(top_of(name), top) is top:
                sys.modules.setdefault(name, module)
    if _by_name not in sys.meta_path:
        sys.meta_path.append(_by_name)
        sys.meta_path.insert(0, _below)


def leave(digest: str) -> None:
    """Have modules make way for what else has their names, when a run has ended that had brought them.

    What is of them is found as before by their digest.
    """
    modules = _known[digest]
    modules.runs -= 1
    if modules.is_here or modules.runs > 0:
        return
    modules.has_ended = True
    if not modules.made:
        del _known[digest]
    others = [each for each in list(_known.values()) if each.runs > 0]
    for name, module in list(modules.made.items()):
        if _is_brought(module) and sys.modules.get(name) is module:
            left = [each.made[name] for each in others if name in each.made]
            if left:
                sys.modules[name] = left[-1]
            else:
                _drop(name)


def _drop(name: str) -> None:
    """Have a module, and what is in it, found anew."""
    for each in list(sys.modules):
        if each == name or each.startswith(f"{name}."):
            sys.modules.pop(each, None)


def _is_ended(module: ModuleType) -> bool:
    return _is_brought(module) and module.__spec__.loader.has_ended  # type: ignore[union-attr]


def is_any() -> bool:
    """Tell whether anything was brought to this process."""
    return any(not modules.is_here for modules in list(_known.values()))


def sources_of(digests: Iterable[str]) -> list[Sources]:
    """Return the sources to be sent to others."""
    return [_known[digest].sources for digest in digests]


def is_whole(digest: str) -> bool:
    """Tell whether modules are executed together."""
    return _known[digest].whole


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
    here = sending_here.get()
    for modules in list(_known.values()):
        if modules.is_here and modules is not here:
            continue
        found: Any = modules.made.get(name)
        for part in filter(None, path.split(".")):
            found = getattr(found, part, None)
        if found is value:
            note(modules.digest)
            return brought, (modules.digest, name, path)
    return None


def known_by(digest: str, name: str = "") -> Modules:
    """Return modules that were brought.

    Args:
        digest: of them.
        name: of the one that is sought.

    Raises:
        CompatibilityError: they have not come to this process.
    """
    if (modules := _known.get(digest)) is None:
        which = f"The module {name!r} of the flow that this is of has"
        raise CompatibilityError(
            f"{which if name else 'Modules of the flow have'} not come to this process: run it again"
        )
    return modules


def note(digest: str) -> None:
    """Note that what is pickled now needs modules."""
    if (digests := _needed.get()) is not None:
        digests.add(digest)


def brought(digest: str, name: str, path: str) -> Any:
    """Return what was pickled so.

    Raises:
        CompatibilityError: the modules have not come to this process.
    """
    modules = known_by(digest, name)
    try:
        found: Any = modules.module(name)
    except Exception as error:
        if modules.whole:
            raise
        raise CompatibilityError(
            f"The local module {name!r} came as source, and cannot be executed here: {type(error).__name__}: "
            f"{error}. What it does when it is imported has to be possible on each worker: install there what it "
            "imports, and read files within tasks"
        ) from error
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    return found


def _directory_of(file: str) -> str | None:
    """Return where a module's file lies, if this machine has that; what travelled in a package has but a name."""
    directory = os.path.dirname(file)  # noqa: PTH120  # pathlib takes long to import
    return directory if os.path.isabs(file) and os.path.isdir(directory) else None  # noqa: PTH112, PTH117  # the same


def top_of(name: str) -> str:
    """Return the first part of a module's name."""
    return name.partition(".")[0]


def text_of(module: ModuleType) -> str | None:
    """Return a module's source; None where it cannot be had."""
    try:
        text: str | None = module.__spec__.loader.get_source(module.__name__)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError):
        return None
    return text


def _lines(module: ModuleType) -> list[str] | None:
    """Return the lines of a module's source; None where they cannot be had."""
    text = text_of(module)
    return None if text is None else text.splitlines()


def _is_brought(module: ModuleType) -> bool:
    return isinstance(getattr(getattr(module, "__spec__", None), "loader", None), Modules)

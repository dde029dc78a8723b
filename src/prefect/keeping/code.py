"""What the code of a task consists of: its own, and all that it calls of the user's, as texts to compare.

Functions count by their bytecode and constants, so neither comments nor the lines that they stand in do;
packages that are installed count by their versions; other globals by their values, and by the classes and functions
that these name. Of what has no value that says the same in another process, such as a lock, the type counts.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from prefect.core.context import Context
from prefect.core.task import Task, type_name
from prefect.errors import StoreError
from prefect.installed import is_installed_at
from prefect.keeping.bytecode import globals_in, names_sought, pieces, sources_of
from prefect.keeping.known_by import code_known_by, known_by
from prefect.payload.code_within import imports_in
from prefect.payload.local_modules import requirements_of
from prefect.store.formats import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    Parts = dict[str, str]
    """Of each thing that counts, by its name: a digest, a version, a type."""

_OWN = __name__.partition(".")[0]
_DIGITS = 16
"""Of a digest: these are compared with those of the same name alone."""
_MOST = 20_000
"""Things that are looked at for one task."""


class Codes:
    """What tasks' codes consist of, each thing looked at once.

    Args:
        requirements: lines such as "pandas==2.2.0" by top-level module, of a flow that was packaged; what
            is not among them is looked up.
    """

    def __init__(self, requirements: Mapping[str, str] | None = None) -> None:
        self._versions = {
            name: line.partition("==")[2] for name, line in (requirements or {}).items()
        }
        self._of_task: dict[int, tuple[Parts, frozenset[str]]] = {}
        self._of_named: dict[Any, Parts] = {}

    def of(self, task: Task) -> tuple[Parts, frozenset[str]]:
        """Return what a task consists of, and the names that it may look up in `prefect.context`."""
        found = self._of_task.get(id(task))
        if found is None:
            found = self._of_task[id(task)] = _Looking(self).at(task.name, task)
        return found

    def of_named(self, named: Any) -> Parts:
        """Return what a class or a function consists of that a value names; nothing if it is installed."""
        found = self._of_named.get(named)
        if found is None:
            found = self._of_named[named] = _Looking(self).at(_name(named, "?"), named)[0]
        return found

    def version(self, top: str) -> str:
        """Return the version of what provides an installed module."""
        if top not in self._versions:
            own = vars(sys.modules[top]).get("__version__") if top in sys.modules else None
            if not isinstance(own, str):
                line = requirements_of([top], frozenset()).get(top, "")
                own = line.partition("==")[2]
            self._versions[top] = own
        return self._versions[top]


class _Looking:
    """One look at a task, and at what it reaches."""

    def __init__(self, codes: Codes) -> None:
        self._codes = codes
        self._parts: Parts = {}
        self._names: set[str] = set()
        self._seen: set[tuple[int, Any]] = set()
        self._alive: list[Any] = []  # so that no other object has the number of one that was seen
        self._todo: list[tuple[str, Any, frozenset[str]]] = []
        self._kinds: list[tuple[Any, Callable[[str, Any, frozenset[str]], None]]] = [
            (ModuleType, self._module),
            (type, self._class),
            (FunctionType, self._function),
            (Task, self._task),
            (functools.partial | MethodType, self._bound),
            (BuiltinFunctionType, self._builtin),
            (object, self._object),
        ]

    def at(self, name: str, value: Any) -> tuple[Parts, frozenset[str]]:
        self._later(name, value)
        for _ in range(_MOST):
            if not self._todo:
                break
            name, value, names = self._todo.pop()
            what = (id(value), names if isinstance(value, ModuleType) else None)
            if what not in self._seen:
                self._seen.add(what)
                self._alive.append(value)
                try:
                    self._look(name, value, names)
                except Exception:  # noqa: BLE001 - of code of somebody's, such as a __getattr__
                    self._note(name, _type(value))
        return dict(sorted(self._parts.items())), frozenset(self._names)

    def _later(self, name: str, value: Any, names: Iterable[str] = ()) -> None:
        self._todo.append((name, value, frozenset(names)))

    def _note(self, name: str, text: str) -> None:
        """Note what counts; what has the name of another, as a wrapper of a function has, counts with it."""
        other = self._parts.get(name)
        if other is not None and other != text:
            text = hashlib.sha256(" ".join(sorted((other, text))).encode()).hexdigest()[:_DIGITS]
        self._parts[name] = text

    def _look(self, name: str, value: Any, names: frozenset[str]) -> None:
        if isinstance(value, Context):  # in a packaged flow it is another one
            self._names.update(names)
            return
        for kind, look in self._kinds:
            if isinstance(value, kind):
                look(name, value, names)
                return

    def _task(self, name: str, task: Task, names: frozenset[str]) -> None:
        run = task.run
        self._later(_name(run, name), getattr(run, "__func__", run), names)
        if not isinstance(
            run, FunctionType
        ):  # its class has the function, and it what it was given
            for key, value in vars(task).items():
                if key not in _OF_ALL_TASKS and not key.startswith("__"):
                    self._later(f"{type(task).__name__}.{key}", value)
            self._later(_name(type(task), name), type(task))

    def _bound(self, name: str, value: Any, names: frozenset[str]) -> None:
        if isinstance(value, MethodType):
            self._later(name, value.__func__, names)
            self._later(f"{name}.__self__", value.__self__)
        else:
            self._later(name, value.func, names)
            self._later(f"{name}(...)", [list(value.args), value.keywords])

    def _builtin(self, _: str, value: Any, __: frozenset[str]) -> None:
        self._is_installed(getattr(value, "__module__", None) or "builtins")

    def _is_installed(self, module: str | None) -> bool:
        """Tell whether a module is none of the user's, and have its version count."""
        top = (module or "").partition(".")[0]
        if top in sys.stdlib_module_names:
            return True
        if top == _OWN:
            self._parts[_OWN] = self._codes.version(_OWN)
            return True
        found = sys.modules.get(top)
        known = {} if found is None else vars(found)
        places = [known.get("__file__"), *(known.get("__path__") or ())]
        if top == "__main__" or not any(place and is_installed_at(str(place)) for place in places):
            return False
        self._parts[top] = self._codes.version(top)
        return True

    def _module(self, _: str, module: ModuleType, names: frozenset[str]) -> None:
        if module.__name__ == _OWN:
            if "context" in names:
                self._names.update(names)
        elif not self._is_installed(module.__name__):
            known = vars(module)
            for each in sorted(names):  # what the code that names the module may take of it
                if each in known and not each.startswith("__"):
                    self._later(f"{module.__name__}.{each}", known[each], names)

    def _function(self, name: str, function: FunctionType, _: frozenset[str]) -> None:
        # One that wraps another has its module, and not its globals.
        if self._is_installed(function.__globals__.get("__name__") or function.__module__):
            if (wrapped := vars(function).get("__wrapped__")) is not None:
                self._later(name, wrapped)
            self._cells(name, function, frozenset())
            return
        name, code = _name(function, name), function.__code__
        made = hashlib.sha256()
        for piece in pieces(code, function.__doc__):
            made.update(code_known_by(piece))
        self._note(name, made.hexdigest()[:_DIGITS])
        names = frozenset(names_sought(code))
        if function.__defaults__ or function.__kwdefaults__:
            self._later(f"{name}(=)", [function.__defaults__, function.__kwdefaults__], names)
        known = function.__globals__
        module = type_name(function).removesuffix(f".{function.__qualname__}")
        for each in _globals_of(code, names, known):
            self._later(f"{module}.{each}", known[each], names)
        for each in imports_in(code):
            for source, digest in sources_of(each, str(known.get("__package__") or "")).items():
                self._note(source, digest)
            if each.partition(".")[0] == _OWN and "context" in names:
                self._names.update(names)
        self._cells(name, function, names)

    def _cells(self, name: str, function: FunctionType, names: frozenset[str]) -> None:
        cells = function.__closure__ or ()
        for each, cell in zip(function.__code__.co_freevars, cells, strict=False):
            try:
                self._later(f"{name}.{each}", cell.cell_contents, names)
            except ValueError:  # empty as yet
                continue

    def _class(self, name: str, kind: type, _: frozenset[str]) -> None:
        if self._is_installed(kind.__module__):
            return
        name = _name(kind, name)
        self._note(f"{name}(...)", ", ".join(_name(base, "?") for base in kind.__bases__))
        for base in (*kind.__bases__, type(kind)):
            self._later(_name(base, name), base)
        for each, value in vars(kind).items():
            if each not in _OF_ALL_CLASSES and type(value).__name__ not in _DESCRIPTORS:
                for part in _functions_of(value):
                    self._later(f"{name}.{each}", part)

    def _object(self, name: str, value: Any, names: frozenset[str]) -> None:
        """Have a value count, and the classes and functions that it names."""
        kind = type(value)
        wrapped = _attribute(value, "__wrapped__")
        if isinstance(wrapped, FunctionType | type):  # a cached function, for example
            self._later(name, wrapped, names)
            if self._is_installed(kind.__module__):
                return
        try:
            encoded = encode(value)
        except (StoreError, RecursionError):
            encoded = None
        if encoded is not None and encoded.same:
            self._note(name, known_by(encoded)[7 : 7 + _DIGITS])
            for each in encoded.named:
                self._later(_name(each, name), each)
            return
        self._note(name, _type(value))
        self._later(_name(kind, name), kind)
        for label, part in _within(value):
            self._later(f"{name}{label}", part, names)


def _globals_of(code: CodeType, names: frozenset[str], known: Mapping[str, Any]) -> Iterator[str]:
    """Yield which of its globals a function takes, sorted."""
    read = frozenset(globals_in(code))
    if names & _WHOLE_MODULES:  # which give it any that it has the name of
        read |= names
    yield from (each for each in sorted(read & known.keys()) if not each.startswith("__"))


def _within(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what something has that has no value as a whole, each with a name."""
    if isinstance(value, dict):
        yield from ((f"[{key!r:.60}]", each) for key, each in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", each) for index, each in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from (("{}", each) for each in value)
    held = _attribute(value, "__dict__")
    if isinstance(held, dict):
        yield from ((f".{key}", each) for key, each in held.items())
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for slot in [slots] if isinstance(slots, str) else slots:
            if (each := _attribute(value, slot)) is not None:
                yield f".{slot}", each


def _attribute(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except Exception:  # noqa: BLE001 - it has none, or somebody's code says so
        return None


def _type(value: Any) -> str:
    return f"of type {type(value).__module__}.{type(value).__qualname__}"


_WHOLE_MODULES = frozenset({"globals", "vars", "modules", "__globals__", "__dict__", "__main__"})
"""Names by which code gets at a module's globals as a whole."""
_OF_ALL_TASKS = frozenset({*dir(Task), "name"})
_OF_ALL_CLASSES = frozenset(
    {
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__",
        "__firstlineno__", "__static_attributes__", "_signature", "_type_name", "_is_plain",
        "__annotate__", "__abstractmethods__", "_abc_impl", "__slots__", "__match_args__",
        "_overridden", "__slotnames__",
    }
)  # fmt: skip
_DESCRIPTORS = frozenset({"member_descriptor", "getset_descriptor"})


def _functions_of(value: Any) -> Iterator[Any]:
    """Yield the functions that an attribute of a class is made of, or the attribute itself."""
    if isinstance(value, staticmethod | classmethod):
        yield value.__func__
    elif isinstance(value, property):
        yield from (part for part in (value.fget, value.fset, value.fdel) if part is not None)
    elif isinstance(value, functools.cached_property):
        yield value.func
    else:
        yield value


def _name(value: Any, otherwise: str) -> str:
    if _attribute(value, "__qualname__") or isinstance(value, type):
        return type_name(value)  # the same in the script itself and wherever it is imported
    return otherwise

"""What the code of a task consists of: its own, and all that it calls of the user's, as texts to compare.

Functions count by their bytecode and constants, so neither comments nor the lines that they stand in do;
packages that are installed count by their versions; other globals by their values. Of what has no value
that says the same in another process, such as a lock, the type counts.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from prefect.core.context import context
from prefect.core.task import Task, type_name
from prefect.errors import StoreError
from prefect.payload.local_modules import is_installed_at, requirements_of
from prefect.store.formats import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Parts = dict[str, str]
    """Of each thing that counts, by its name: a digest, a version, a type."""

_OWN = __name__.partition(".")[0]
_DIGITS = 16
"""Of a digest: these are compared with those of the same name alone."""
_LARGEST = 1 << 20
"""Bytes of a global's value up to which it counts by it."""


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

    def of(self, task: Task) -> tuple[Parts, frozenset[str]]:
        """Return what a task consists of, and the names that it may look up in `prefect.context`."""
        found = self._of_task.get(id(task))
        if found is None:
            found = self._of_task[id(task)] = _Looking(self).at(task)
        return found

    def version(self, top: str) -> str:
        """Return the version of what provides an installed module."""
        if top not in self._versions:
            own = getattr(sys.modules.get(top), "__version__", None)
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
        self._seen: set[int] = set()
        self._todo: list[tuple[str, Any, Iterable[str]]] = []

    def at(self, task: Task) -> tuple[Parts, frozenset[str]]:
        self._task(task.name, task)
        while self._todo:
            name, value, names = self._todo.pop()
            if id(value) in self._seen and not isinstance(value, ModuleType):
                continue
            self._seen.add(id(value))
            self._look(name, value, names)
        return dict(sorted(self._parts.items())), frozenset(self._names)

    def _task(self, name: str, task: Task) -> None:
        run = task.run
        self._later(_name(run, name), getattr(run, "__func__", run))
        if not isinstance(
            run, FunctionType
        ):  # its class has the function, and it what it was given
            own = {
                key: value
                for key, value in task.__dict__.items()
                if key not in _OF_ALL_TASKS and not key.startswith("__")
            }
            for key, value in own.items():
                self._later(f"{type(task).__name__}.{key}", value)
            self._later(_name(type(task), name), type(task))

    def _later(self, name: str, value: Any, names: Iterable[str] = ()) -> None:
        self._todo.append((name, value, names))

    def _look(self, name: str, value: Any, names: Iterable[str]) -> None:
        if value is context:
            self._names.update(names)
        elif isinstance(value, ModuleType):
            self._module(value, names)
        elif isinstance(value, FunctionType | type):
            if not self._is_installed(value.__module__):
                look = self._class if isinstance(value, type) else self._function
                look(_name(value, name), value)  # type: ignore[arg-type]
        elif isinstance(value, Task):
            self._task(name, value)
        elif isinstance(value, functools.partial | MethodType):
            self._bound(name, value)
        elif isinstance(value, BuiltinFunctionType):
            self._is_installed(getattr(value, "__module__", None) or "builtins")
        elif isinstance(wrapped := getattr(value, "__wrapped__", None), FunctionType):
            self._later(name, wrapped)
        else:
            self._parts[name] = self._value(value)

    def _bound(self, name: str, value: functools.partial[Any] | MethodType) -> None:
        if isinstance(value, MethodType):
            self._later(name, value.__func__)
            self._later(f"{name}.__self__", value.__self__)
        else:
            self._later(name, value.func)
            self._later(f"{name}(...)", [list(value.args), value.keywords])

    def _is_installed(self, module: str | None) -> bool:
        """Tell whether a module is none of the user's, and have its version count."""
        top = (module or "").partition(".")[0]
        if top in sys.stdlib_module_names:
            return True
        if top == _OWN:
            self._parts[_OWN] = self._codes.version(_OWN)
            return True
        found = sys.modules.get(top)
        places = [getattr(found, "__file__", None), *getattr(found, "__path__", ())]
        if top == "__main__" or not any(place and is_installed_at(str(place)) for place in places):
            return False
        self._parts[top] = self._codes.version(top)
        return True

    def _module(self, module: ModuleType, names: Iterable[str]) -> None:
        if module.__name__ == _OWN:
            if "context" in names:
                self._names.update(names)
        elif not self._is_installed(module.__name__):
            for each in names:  # what the code that names the module may take of it
                if each in module.__dict__ and not each.startswith("__"):
                    self._later(f"{module.__name__}.{each}", module.__dict__[each], names)

    def _function(self, name: str, function: FunctionType) -> None:
        made = hashlib.sha256()
        for piece in _pieces(function.__code__, function.__doc__):
            made.update(piece)
        for default in (function.__defaults__, function.__kwdefaults__):
            if default:
                made.update(self._value(default).encode())
        self._parts[name] = made.hexdigest()[:_DIGITS]
        names = frozenset(_names(function.__code__))
        known = function.__globals__
        module = type_name(function).removesuffix(f".{function.__qualname__}")
        for each in sorted(names):
            if each in known:
                self._later(f"{module}.{each}", known[each], names)
        for each, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=False
        ):
            try:
                self._later(f"{name}.{each}", cell.cell_contents, names)
            except ValueError:  # empty as yet
                continue

    def _class(self, name: str, kind: type) -> None:
        for base in kind.__bases__:
            self._later(_name(base, name), base)
        for each, value in vars(kind).items():
            if each in _OF_ALL_CLASSES:
                continue
            for part in _functions_of(value):
                self._later(f"{name}.{each}", part)

    def _value(self, value: Any) -> str:
        try:
            encoded = encode(value)
        except (StoreError, RecursionError):
            encoded = None
        if encoded is None or encoded.size > _LARGEST or "<" in type(value).__qualname__:
            return f"of type {type(value).__module__}.{type(value).__qualname__}"
        return encoded.digest[7 : 7 + _DIGITS]


_OF_ALL_TASKS = frozenset({*dir(Task), "name"})
_OF_ALL_CLASSES = frozenset(
    {
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__",
        "__firstlineno__", "__static_attributes__", "_signature", "_type_name", "_is_plain",
        "__annotate__", "__abstractmethods__", "_abc_impl", "__slots__", "__match_args__",
    }
)  # fmt: skip


def _functions_of(value: Any) -> Iterator[Any]:
    """Yield the functions that an attribute of a class is made of, or the attribute itself."""
    if isinstance(value, staticmethod | classmethod):
        yield value.__func__
    elif isinstance(value, property):
        yield from (part for part in (value.fget, value.fset, value.fdel) if part is not None)
    elif type(value).__name__ not in {"member_descriptor", "getset_descriptor"}:
        yield value


def _name(value: Any, otherwise: str) -> str:
    if getattr(value, "__qualname__", None) and getattr(value, "__module__", None):
        return type_name(value)  # the same in the script itself and wherever it is imported
    return otherwise


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _pieces(code: CodeType, doc: str | None) -> Iterator[bytes]:
    """Yield what a function does, without where it stands and what its docstring says."""
    shape = (
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags,
        code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
    )  # fmt: skip
    yield repr(shape).encode()
    yield code.co_code
    yield code.co_exceptiontable
    for index, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            yield from _pieces(constant, _doc_of(constant))
        elif index == 0 and constant == doc:
            yield b"None"
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant))).encode()
        else:
            yield repr(constant).encode()


def _doc_of(code: CodeType) -> str | None:
    """Return what may be the docstring of a function within a function."""
    first = code.co_consts[0] if code.co_consts else None
    has_one = isinstance(first, str) and code.co_flags & _HAS_DOCSTRING
    return first if has_one else None


_HAS_DOCSTRING = 0x4000000
"""Of Python 3.13, inspect.CO_HAS_DOCSTRING."""

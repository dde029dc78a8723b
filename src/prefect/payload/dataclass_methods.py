"""The methods that `dataclasses` writes: they have no source, and another series writes its own."""

from __future__ import annotations

import copy
import dataclasses
from types import CellType, FunctionType
from typing import Any, TypeAlias

_WRITTEN = (
    "__init__", "__repr__", "__eq__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__",
    "__setattr__", "__delattr__",
)  # fmt: skip
_SWITCHES = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FILE = "<string>"

Written: TypeAlias = "tuple[tuple[str, ...], bool, bool]"
"""Names of methods, whether `__init__` calls `__post_init__`, and whether slots were asked for."""


def written_methods(kind: type, content: dict[str, Any]) -> Written | None:
    """Return which methods of a dataclass can be written again from its fields.

    Args:
        content: of the class, by name.
    """
    names = tuple(name for name in _WRITTEN if _is_written(content.get(name)))
    if not names or "__dataclass_fields__" not in content:
        return None
    for slots in (False, True):
        written = (names, hasattr(kind, "__post_init__"), slots)
        try:
            made = methods(kind, content["__dataclass_fields__"], _params(content), written)
        except (TypeError, ValueError, AttributeError, SyntaxError):
            continue
        same = [
            name
            for name in names
            if name in made and _core(_inner(made[name])) == _core(_inner(content[name]))
        ]
        if len(same) == len(names):
            return written
    return None


def methods(
    kind: type, fields: dict[str, Any], params: dict[str, bool], written: Written
) -> dict[str, Any]:
    """Write the methods of a dataclass.

    They are written for a class that is thrown away, and then belong to this one: it has its fields,
    those of its bases included, which may not be complete yet.

    Args:
        kind: the class.
        fields: its fields by name.
        params: what `dataclass` was told.
        written: which methods, and how.
    """
    names, post_init, slots = written
    content: dict[str, Any] = {"__qualname__": kind.__qualname__, "__module__": "builtins"}
    if post_init:
        content["__post_init__"] = None
    annotations: dict[str, Any] = {}
    defaults = {}
    for name, field in fields.items():
        sort = field._field_type.name  # noqa: SLF001 - there is no public way
        if sort == "_FIELD_CLASSVAR":
            continue
        is_variable = sort == "_FIELD_INITVAR"
        annotations[name] = dataclasses.InitVar[object] if is_variable else object
        defaults[name] = copy.copy(field)
    double = type(kind.__name__, (), content | {"__annotations__": annotations})
    for name, field in defaults.items():  # not before: a default's __set_name__ would be called
        setattr(double, name, field)
    if "__hash__" in names and not params["frozen"]:
        params = params | {"unsafe_hash": True}
    made: type = dataclasses.dataclass(**params, slots=slots)(double)
    found = {}
    for name in names:
        method = vars(made)[name]
        for cell in _inner(method).__closure__ or ():
            if _content(cell) in {double, made}:
                cell.cell_contents = kind
        found[name] = method
    return found


def _is_written(method: Any) -> bool:
    return isinstance(method, FunctionType) and _inner(method).__code__.co_filename == _FILE


def written_code(method: Any) -> Any:
    """Return the code that has no source, of a method that `dataclasses` wrote."""
    return _inner(method).__code__


def _inner(method: Any) -> Any:
    return getattr(method, "__wrapped__", method)


def _core(function: Any) -> tuple[Any, ...]:
    # All but lines: they depend on what else was written in one go.
    code = function.__code__
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return code.co_code, code.co_consts, *names, code.co_argcount, code.co_kwonlyargcount


def _content(cell: CellType) -> Any:
    content = cell.cell_contents
    return content if isinstance(content, type) else None


def _params(content: dict[str, Any]) -> dict[str, bool]:
    params = content["__dataclass_params__"]
    return {name: getattr(params, name) for name in _SWITCHES}


def switches(params: Any) -> dict[str, bool]:
    """Return what every series knows of a class's `__dataclass_params__`, and what this one does."""
    return {name: getattr(params, name) for name in type(params).__slots__}


def make_params(values: dict[str, bool]) -> Any:
    """Return a `__dataclass_params__` as this series has it, of one that any series had."""
    made = object.__new__(dataclasses._DataclassParams)  # type: ignore[attr-defined]  # noqa: SLF001
    later = {"match_args": True, "kw_only": False, "slots": False, "weakref_slot": False}
    for name in type(made).__slots__:
        setattr(made, name, values.get(name, later.get(name, False)))
    return made


def complete(kind: type, content: dict[str, Any], written: Written) -> None:
    """Put methods as this series writes them in the place of another's, which cannot run here."""
    params = _params(content)
    for name, method in methods(kind, content["__dataclass_fields__"], params, written).items():
        former = content[name]
        for attribute in ("__annotations__", "__qualname__", "__doc__", "__module__"):
            setattr(method, attribute, getattr(former, attribute))
        content[name] = method
    if hasattr(dataclasses, "_replace"):  # for copy.replace, since Python 3.13
        content.setdefault("__replace__", dataclasses._replace)

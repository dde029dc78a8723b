"""What a function does, as its bytecode tells: without where it stands, and what its docstring says."""

from __future__ import annotations

import ast
import hashlib
import opcode
import sys
from importlib import util
from types import CodeType
from typing import TYPE_CHECKING

from prefect.installed import is_installed_at
from prefect.payload.code_within import codes_within, names_in

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE_ARGUMENTS = 0x4 | 0x8
_HAS_DOCSTRING = 0x4000000
"""Of Python 3.13, inspect.CO_HAS_DOCSTRING."""
_MOST_MODULES = 1000
_EXTENDED_ARG, _LOAD_GLOBAL = opcode.opmap["EXTENDED_ARG"], opcode.opmap["LOAD_GLOBAL"]
_OF_GLOBALS = {
    opcode.opmap.get(name)
    for name in (
        "LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS",
    )
}  # fmt: skip


def pieces(code: CodeType, doc: str | None) -> Iterator[bytes]:
    """Yield what counts of a function's code, and of those within it.

    Args:
        doc: its docstring, which does not count.
    """
    count = code.co_argcount + code.co_kwonlyargcount
    count += (code.co_flags & _VARIABLE_ARGUMENTS).bit_count()
    shape = (
        code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_names,
        code.co_varnames[:count], code.co_nlocals, code.co_freevars, code.co_cellvars,
    )  # fmt: skip
    yield repr(shape).encode()
    yield code.co_code
    yield code.co_exceptiontable
    for index, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            yield from pieces(constant, _doc_of(constant))
        elif index == 0 and constant == doc:
            yield b"None"
        elif isinstance(constant, frozenset):
            yield repr(sorted(map(repr, constant))).encode()
        else:
            yield repr(constant).encode()


def _doc_of(code: CodeType) -> str | None:
    """Return what may be the docstring of a function within a function."""
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) and code.co_flags & _HAS_DOCSTRING else None


def names_sought(code: CodeType) -> Iterator[str]:
    """Yield the names that a function, and those within it, may look up: texts that are names are, too."""
    yield from names_in(code)
    for each in codes_within(code):
        yield from (
            text for text in each.co_consts if isinstance(text, str) and text.isidentifier()
        )


def globals_in(code: CodeType) -> Iterator[str]:
    """Yield the names that a function, and those within it, look up among its globals.

    Attributes and texts are none: a packaged function has no other globals than these, and others that
    stand beside it in its file must count nowhere.
    """
    for each in codes_within(code):
        extended = 0
        for operation, low in zip(each.co_code[::2], each.co_code[1::2], strict=True):
            argument = extended | low
            extended = argument << 8 if operation == _EXTENDED_ARG else 0
            if operation in _OF_GLOBALS:
                # Its lowest bit says whether there is to be a call.
                yield each.co_names[argument >> 1 if operation == _LOAD_GLOBAL else argument]


def sources_of(name: str, package: str) -> dict[str, str]:
    """Return digests of the source of a module of the user's, and of those that it imports, by name.

    Nothing is imported: what a function imports may not have been yet.

    Args:
        name: as an import names it, a relative one with its dots.
        package: that relative imports are of.
    """
    found: dict[str, str] = {}
    try:
        todo = [util.resolve_name(name, package)]
    except ImportError:  # relative, and of no package
        return found
    while todo and len(found) < _MOST_MODULES:
        each = todo.pop()
        if (
            not each
            or each in found
            or each.partition(".")[0] in {*sys.stdlib_module_names, "prefect"}
        ):
            continue
        source = _source(each)
        if source is None:
            continue
        found[each] = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        within = each.rpartition(".")[0]
        todo.append(within)
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = ".".join(
                    part for part in (within if node.level else "", node.module or "") if part
                )
                todo += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def _source(name: str) -> str | None:
    """Return the source of a module that is not installed."""
    try:
        spec = util.find_spec(name)
        if spec is None or spec.loader is None or (spec.origin and is_installed_at(spec.origin)):
            return None
        get = getattr(spec.loader, "get_source", None)
        source = None if get is None else get(name)
    except (ImportError, ValueError, AttributeError, OSError, SyntaxError):
        return None
    return source if isinstance(source, str) else None

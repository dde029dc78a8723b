"""What a function's code, and the code of those within it, names and imports. Nothing is executed."""

from __future__ import annotations

import opcode
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMPORT_NAME = opcode.opmap["IMPORT_NAME"]


def codes_within(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code, and that of all functions within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_within(constant)


def names_in(code: CodeType) -> Iterator[str]:
    """Yield what a function and those within it name: globals, attributes, methods."""
    for each in codes_within(code):
        yield from each.co_names


def imports_in(code: CodeType) -> Iterator[str]:
    """Yield what `import` statements within a function name; relative ones with their dots."""
    for each in codes_within(code):
        if _IMPORT_NAME not in each.co_code[::2]:
            continue  # as most have none, and to look at each instruction takes long
        import dis  # noqa: PLC0415 - slow to import

        level: Any = 0
        fromlist: Any = None
        for instruction in dis.get_instructions(each):
            if instruction.opname == "IMPORT_NAME":  # its operands: the two constants before it
                yield "." * level + instruction.argval
            elif instruction.opname != "EXTENDED_ARG":
                level, fromlist = fromlist, instruction.argval

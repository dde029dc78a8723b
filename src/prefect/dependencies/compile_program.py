"""A program that compiles Python files, for `bytecode`: it runs in whatever Python an image has.

It imports nothing of this package. From standard input it takes lines of three paths, with a NUL
between them: the source, its name in the image, and the file to write. It answers each with a line:
1 if it was written, 0 if the source does not compile. Where it cannot be written, the program ends
with the number of the error as its status.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys
from importlib.util import MAGIC_NUMBER, source_hash
from types import CodeType
from typing import Any

_UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552: valid whatever the source's time and hash


def main() -> None:
    """Compile until standard input ends."""
    gc.disable()  # compiling makes no cycles, and looking for some costs a tenth
    try:
        _answer()
    except OSError as error:
        sys.exit(error.errno)


def _answer() -> None:
    for line in sys.stdin.buffer:
        source, name, target = os.fsdecode(line.rstrip(b"\n")).split("\0")
        answer = b"1\n" if _compile(source, name, target) else b"0\n"
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _compile(source: str, name: str, target: str) -> bool:
    with open(source, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than to do this
        text = file.read()
    try:
        code = compile(text, name, "exec", dont_inherit=True, optimize=0)
        data = _dumps(code)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return False
    with open(target, "wb") as file:  # noqa: PTH123
        file.write(MAGIC_NUMBER + _UNCHECKED_HASH + source_hash(text) + data)
    return True


def _dumps(code: CodeType) -> bytes:
    # marshal leaves out the mark for a possible second reference where an object has only one,
    # which depends on whatever else the process has interned. With one more of ours to each, all
    # are marked, and the bytes depend on the code alone; they load as fast as without.
    references: list[Any] = []
    _refer(code, references)
    return marshal.dumps(code)


def _refer(code: CodeType, references: list[Any]) -> None:
    references += (code, code.co_name, code.co_qualname, code.co_filename, code.co_names)
    references += code.co_names
    references += code.co_varnames
    references += code.co_cellvars
    references += code.co_freevars
    todo: list[Any] = [code.co_consts]
    while todo:
        value = todo.pop()
        references.append(value)
        if isinstance(value, CodeType):
            _refer(value, references)
        elif isinstance(value, (tuple, frozenset)):
            todo += value


if __name__ == "__main__":
    main()

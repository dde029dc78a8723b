"""Code objects as a build pickles them: the bytecode, and where its source is.

Whether a source says what the code does is not believed but tried: it is compiled, as another series
of Python would, and has to come out the same.
"""

from __future__ import annotations

import marshal
import sys
from typing import TYPE_CHECKING, Any

from prefect.payload.dataclass_methods import written_code, written_methods
from prefect.payload.definitions import Definitions
from prefect.payload.rebuilding import code_object
from prefect.payload.recompiling import recompiled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.payload.dataclass_methods import Written
    from prefect.payload.recompiling import Position
    from prefect.payload.source_lines import SourceLines

    _Arguments = tuple[str, str, str, Position | str, str | None, tuple[str, ...], int]

# This version shares nothing between objects, so that equal code has equal bytes. From 3.14 on there
# are constants that it does not know.
_MARSHAL = 2 if sys.version_info < (3, 14) else 5
_LONGEST_NAME = 200
CodeType = type(code_object.__code__)


class CodeReducer:
    """Pickles code, and notes the lines that it needs, and what has no source.

    Args:
        source: names the files, and collects the lines.
    """

    def __init__(self, source: SourceLines) -> None:
        self._source = source
        self._definitions: dict[str, Definitions] = {}
        self._written: dict[int, Any] = {}
        self._fixed: set[str] = set()

    @property
    def fixed(self) -> list[str]:
        """What cannot be compiled again, each with the reason."""
        return sorted(self._fixed)

    def reduce(self, code: Any) -> tuple[Any, ...] | None:
        """Return how to pickle a code object, or None for one that only cloudpickle can."""
        file = self._source.own_name(code.co_filename)
        try:
            bytecode = marshal.dumps(_placed(code, file), _MARSHAL)
        except ValueError:  # somebody put objects among its constants
            self._fix(code, file)
            return None
        known = (file, code.co_name, code.co_qualname)
        for source, class_name in self._candidates(code):
            arguments = (*known, source, class_name, code.co_freevars, code.co_flags)
            if self._is(code, bytecode, arguments):
                if not isinstance(source, str):
                    self._source.note(code.co_filename, range(source[0], source[2] + 1))
                return code_object, (bytecode, *arguments)
        if id(code) not in self._written:
            self._fix(code, file)
        return code_object, (bytecode, *known, None, None, code.co_freevars, code.co_flags)

    def dataclass(self, kind: type, content: dict[str, Any]) -> Written | None:
        """Return which methods of a dataclass another series writes for itself.

        Args:
            content: of the class; that of these methods need not have a source.
        """
        written = written_methods(kind, content)
        for name in written[0] if written else ():
            code = written_code(content[name])
            self._written[id(code)] = code
        return written

    def _candidates(self, code: Any) -> Iterator[tuple[Position | str, str | None]]:
        if code.co_filename == "<string>" and code.co_name == "<lambda>":
            # As collections.namedtuple evaluates it.
            given = ", ".join(code.co_varnames[1 : code.co_argcount])
            made = f"{given}," if code.co_argcount == 2 else given  # noqa: PLR2004 - one field
            yield f"lambda _cls, {made}: _tuple_new(_cls, ({made}))", None
        yield from self._defined(code.co_filename).find(code.co_name, code.co_firstlineno)

    def _defined(self, file: str) -> Definitions:
        if file not in self._definitions:
            self._definitions[file] = Definitions(self._source.lines(file))
        return self._definitions[file]

    def _is(self, code: Any, bytecode: bytes, arguments: _Arguments) -> bool:
        """Whether compiling what `arguments` say gives this very code."""
        lines = self._source.lines(code.co_filename)
        imported = self._defined(code.co_filename).imported
        try:
            made = recompiled(lines, *arguments, imported)
        except (SyntaxError, LookupError, ValueError, RecursionError, MemoryError):
            return False
        return marshal.dumps(made, _MARSHAL) == bytecode

    def _fix(self, code: Any, file: str) -> None:
        lines = {line for *_, line in code.co_lines() if line}
        numbers = range(code.co_firstlineno, max(lines, default=0) + 1)
        self._source.note(code.co_filename, numbers)
        self._fixed.add(f"{code.co_qualname[:_LONGEST_NAME]} of {file} ({self._reason(code)})")

    def _reason(self, code: Any) -> str:
        if not self._source.lines(code.co_filename):
            return "no source is found: made by exec, or typed at a prompt"
        return "not what its source says: that was changed since, or the code was rewritten"


def _placed(code: Any, file: str) -> Any:
    """Return code that tells the name of its file, not where that lies."""
    return code.replace(
        co_filename=file,
        co_consts=tuple(
            _placed(each, file) if isinstance(each, CodeType) else each for each in code.co_consts
        ),
    )

"""Where in a source a function is defined."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prefect.payload.recompiling import Position

Definition: TypeAlias = "tuple[Position, str | None]"
"""Where it stands, and the name of the innermost class around it."""


class Definitions:
    """The functions and lambdas of one source.

    Args:
        lines: of the source; what cannot be parsed defines nothing.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._tree = ast.Module([], [])
        self._named: dict[tuple[str, int], list[Definition]] = {}
        self.imported: set[str] = set()
        """Names that the module imports, not those that a function does."""
        self._index()

    def find(self, name: str, line: int) -> Iterator[Definition]:
        """Yield the definitions that may have a name, and begin in a line."""
        if name == "<lambda>":
            yield from self._lambdas(line)
            return
        yield from self._named.get((name, line), ())

    def _index(self) -> None:
        """Look for functions and imports, which stand among statements alone."""
        waiting: list[tuple[ast.AST, str | None, bool]] = [(self._tree, None, True)]
        while waiting:
            node, within, top = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first, last = _first(node), node.end_lineno or 0
                found = ((first, 0, last, 0), within)
                self._named.setdefault((node.name, first), []).append(found)
                top = False
            elif isinstance(node, ast.ClassDef):
                within, top = node.name, False
            elif isinstance(node, ast.Import | ast.ImportFrom) and top:
                names = (each.asname or each.name.partition(".")[0] for each in node.names)
                self.imported.update(names)
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, field, None)
                if isinstance(inner, list):  # of a lambda it is an expression
                    waiting += [(each, within, top) for each in inner]

    def _lambdas(self, line: int) -> Iterator[Definition]:
        waiting: list[tuple[Any, str | None]] = [(self._tree, None)]
        while waiting:
            node, within = waiting.pop()
            if isinstance(node, ast.Lambda) and node.lineno == line:
                last, end = node.end_lineno or 0, node.end_col_offset or 0
                yield (node.lineno, node.col_offset, last, end), within
            child: Any
            for child in ast.iter_child_nodes(node):
                if hasattr(child, "lineno") and not _first(child) <= line <= child.end_lineno:
                    continue
                inside = isinstance(node, ast.ClassDef) and isinstance(child, ast.stmt)
                waiting.append((child, node.name if inside else within))


def _first(node: Any) -> int:
    """Return the first line of what has lines: that of its first decorator, if it has one."""
    decorators = getattr(node, "decorator_list", ())
    first: int = decorators[0].lineno if decorators else node.lineno
    return first

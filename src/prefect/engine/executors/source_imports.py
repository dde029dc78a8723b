"""What modules import, as their sources say it: at the top or within functions."""

from __future__ import annotations

from itertools import accumulate
from threading import Lock

from prefect.patterns import pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_WORD = pattern(r"import\b")
_FROM = pattern(r"(?<!\w)from\b([.\w \t\f]*)$")
_NAMES = pattern(r"[ \t\f]*(\((?:[\w.,*\s]++|#[^\n]*+)*+\)|[\w.,* \t\f]*)")
_LONGEST = 1000
"""Characters that are looked at before the word."""
_COMMENT = pattern(r"#[^\n]*")
_AS = pattern(r"\bas\b")
_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
_lock = Lock()
_TRIES = 10


def imported(text: str, module: str, *, is_package: bool) -> Iterator[tuple[str, bool]]:
    """Yield what a module imports, packages before what is in them, and whether it is a module or may be one.

    Args:
        text: the module's source.
        module: its name, by which relative imports are understood.
        is_package: whether it is a package.

    Raises:
        SyntaxError: the text is no source.
        ValueError: it cannot be one.
    """
    import ast  # noqa: PLC0415  # seldom needed

    found: list[tuple[int, str, list[str]]] = []
    waiting: list[Any] = list(_parsed(text).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found += [(0, each.name, []) for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", [each.name for each in node.names]))
        else:
            for name in _BODIES:  # of statements alone; `ast.walk` looks into expressions as well
                waiting += getattr(node, name, ())
    return _names(found, module, is_package=is_package)


def mentioned(text: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield the names that a module may import: what `imported` yields, and what its strings and comments speak of.

    It takes a hundredth of the time, for nothing is parsed.
    """
    text = text.replace("\\\n", "  ")
    found: list[tuple[int, str, list[str]]] = []
    # The word by itself: what a pattern does beside takes many times as long.
    for word in _WORD.finditer(text):
        end = word.start()
        first = max(0, end - _LONGEST)
        before = text[max(first, text.rfind("\n", first, end) + 1) : end]
        if before[-1:].isidentifier():
            continue
        start = _FROM.search(before)
        names = _COMMENT.sub("", _NAMES.match(text, word.end())[1]).strip("() ")  # type: ignore[index]
        parts = [_compact(_AS.split(each)[0]) for each in names.split(",")]
        if start is None:
            found += [(0, each, []) for each in parts]
        else:
            whole = _compact(start[1])
            name = whole.lstrip(".")
            found.append((len(whole) - len(name), name, parts))
    for name, _ in _names(found, module, is_package=is_package):
        if all(part.isidentifier() for part in name.split(".")):
            yield name


def _names(
    found: Iterable[tuple[int, str, list[str]]], module: str, *, is_package: bool
) -> Iterator[tuple[str, bool]]:
    around = module.split(".") if is_package else module.split(".")[:-1]
    for level, name, parts in found:
        above = around[: len(around) - level + 1] if level else []
        start = ".".join([*above, *filter(None, [name])])
        if start:
            yield from ((each, True) for each in accumulate(start.split("."), "{}.{}".format))
        yield from ((f"{start}.{part}".lstrip("."), False) for part in parts)


def _parsed(text: str) -> Any:
    import ast  # noqa: PLC0415  # seldom needed

    for _ in range(_TRIES - 1):
        try:
            with _lock:
                return ast.parse(text)
        except SystemError:  # Python 3.11 miscounts where another thread parses meanwhile
            continue
    return ast.parse(text)


def _compact(name: str) -> str:
    """Return a name without what may be between its parts, as Python compares it."""
    name = "".join(name.split())
    if name.isascii():
        return name
    import unicodedata  # noqa: PLC0415  # seldom needed

    return unicodedata.normalize("NFKC", name)

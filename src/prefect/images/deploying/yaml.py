"""Readable YAML of plain values, as every parser of YAML 1.1 and 1.2 reads them.

Of YAML there is as little as will do: mappings, sequences, and scalars that are either words that mean
nothing else, or in double quotes. docs/adr/0032 says why no library writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What is none of these could be a number, a date, or syntax.
_WORD = pattern(r"[A-Za-z_/][A-Za-z0-9_./-]*")
# Words that some version of YAML, or some parser, takes for something else than text.
_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LATIN, _BASIC = 0x100, 0x10000


def document(value: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """Return a mapping as a document, with comments above it.

    Args:
        value: of dicts, lists, str, int and bool.
        comments: lines without line breaks.
    """
    above = [f"# {line}" for line in comments]
    lines = [*above, *([""] if above else ()), *_mapping(value)]
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """Return a text so that a parser gives back that text, in one line."""
    if _WORD.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    return '"' + "".join(map(_character, text)) + '"'


def _character(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    number = ord(char)
    if number < _LATIN:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < _BASIC else f"\\U{number:08x}"


def _mapping(value: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, item in value.items():
        first, *rest = _node(item)
        lines += [f"{scalar(key)}:{first}", *(f"  {line}" for line in rest)]
    return lines


def _sequence(value: Sequence[Any]) -> list[str]:
    lines = []
    for item in value:
        # A mapping begins beside the hyphen, anything else of several lines below it.
        if isinstance(item, dict) and item:
            first, *rest = _mapping(item)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
        else:
            first, *rest = _node(item)
            lines += [f"-{first}", *(f"  {line}" for line in rest)]
    return lines


def _node(value: Any) -> list[str]:
    """Return what follows a key or a hyphen on its line, and the lines below.

    Raises:
        TypeError: it is none of the values that are written.
    """
    match value:
        case str():
            return [f" {scalar(value)}"]
        case bool():
            return [f" {str(value).lower()}"]
        case int():
            return [f" {value}"]
        case dict():
            return ["", *_mapping(value)] if value else [" {}"]
        case list():
            return ["", *_sequence(value)] if value else [" []"]
    raise TypeError(f"{type(value).__name__} is nothing that is written as YAML")

"""Keeping secret values out of what a run tells: log lines, tracebacks, standard streams."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "***"
# Masking a shorter value would garble ordinary text and hide nothing.
_SHORTEST = 4
_active: list[str] = []


def mask(text: str) -> str:
    """Return the text without the secret values of the runs that are going on."""
    for value in _active:
        text = text.replace(value, MASK)
    return text


def mask_all(value: Any) -> Any:
    """Mask every string within plain JSON values."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: mask_all(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_all(item) for item in value]
    return value


class _MaskedStream:
    """A text stream that masks each write."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(mask(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def masked(values: Iterable[str]) -> Iterator[None]:
    """Have `mask` know the values, and mask what is written to standard output and error.

    A value is also known as repr and JSON write it, and line by line. One that a program writes
    in pieces, in another spelling, or below Python, is not recognised.
    """
    searched = sorted(_spellings(values), key=len, reverse=True)
    if not searched:
        yield
        return
    out, err = sys.stdout, sys.stderr
    _active.extend(searched)
    sys.stdout = cast("TextIO", _MaskedStream(out))
    sys.stderr = cast("TextIO", _MaskedStream(err))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err
        for value in searched:
            _active.remove(value)


def _spellings(values: Iterable[str]) -> set[str]:
    parts = {part for value in values for part in (value, *value.splitlines())}
    parts = {part for part in parts if len(part) >= _SHORTEST}
    quoted = {
        text[1:-1]
        for part in parts
        for text in (repr(part), json.dumps(part), json.dumps(part, ensure_ascii=False))
    }
    return parts | quoted

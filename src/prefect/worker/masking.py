"""Keeping secret values out of what a run prints: log lines, tracebacks, standard streams."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "***"
# Masking a shorter value would garble ordinary text and hide nothing.
_SHORTEST = 4


class _MaskedStream:
    """A text stream that replaces secret values in each write."""

    def __init__(self, stream: TextIO, values: tuple[str, ...]) -> None:
        self._stream = stream
        self._values = values

    def write(self, text: str) -> int:
        masked = text
        for value in self._values:
            masked = masked.replace(value, MASK)
        self._stream.write(masked)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def masked_streams(values: Iterable[str]) -> Iterator[None]:
    """Replace secret values in what is written to standard output and error.

    A value that a program writes in pieces, or below Python, is not recognised.
    """
    # A multi-line value, such as a private key, also shows up line by line.
    parts = {part for value in values for part in (value, *value.splitlines())}
    searched = tuple(sorted((p for p in parts if len(p) >= _SHORTEST), key=len, reverse=True))
    if not searched:
        yield
        return
    out, err = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", _MaskedStream(out, searched))
    sys.stderr = cast("TextIO", _MaskedStream(err, searched))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err

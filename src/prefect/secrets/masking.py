"""Keeping secret values out of what a run tells: log lines, tracebacks, standard streams."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.streams import stand_in

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
    _active.extend(searched)
    try:
        with stand_in("stdout") as out, stand_in("stderr") as err:
            out.change = err.change = mask
            yield
    finally:
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

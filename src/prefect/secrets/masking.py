"""Keeping secret values out of what a run tells: log lines, tracebacks, standard streams."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.secrets.spellings import SHORTEST, quoted
from prefect.streams import stand_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "***"
_active: list[str] = []


def mask(text: str) -> str:
    """Return the text without the secret values of the runs that are going on."""
    for value in _active:
        text = text.replace(value, MASK)
    return text


def is_masking() -> bool:
    """Tell whether there is anything to mask now."""
    return bool(_active)


def holds_secret(data: bytes | bytearray) -> bool:
    """Tell whether a secret's value, of the runs that are going on, stands in something."""
    return any(value.encode(errors="surrogateescape") in data for value in _active)


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

    A value is also known as Python writes it, as text and as bytes, as JSON and URLs do, and line
    by line. One that a program writes in pieces, in another spelling, or below Python, is not
    recognised.
    """
    searched = _spellings(values)
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


def mask_until_exit(values: Iterable[str]) -> None:
    """Do what `masked` does until this process ends.

    For programs that end with their run: exit handlers and threads that it leaves behind may still
    tell what they know.
    """
    if searched := _spellings(values):
        _active.extend(searched)
        stand_in("stdout").__enter__().change = mask
        stand_in("stderr").__enter__().change = mask


def remember(value: Any) -> None:
    """Have `mask` and `holds_secret` know a value from now on, until this process ends.

    For secrets that come to be known while a flow runs: what is written by then is not masked. Of what was
    made of one, such as JSON that was read, each text is known, but no name in a dict.
    """
    for text in _texts(value):
        _active.extend(each for each in _spellings([text]) if each not in _active)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple | set | frozenset):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _spellings(values: Iterable[str]) -> list[str]:
    """Return what to look for: longer ones first, as one may be part of another."""
    parts = {part for value in values for part in (value, *value.splitlines())}
    found = {text for part in parts if len(part) >= SHORTEST for text in quoted(part)}
    found |= {text for each in tuple(found) if not each.isascii() for text in _misread(each)}
    return sorted(found, key=len, reverse=True)


def _misread(text: str) -> Iterator[str]:
    """Yield what text becomes where it is written in one encoding and read in another.

    A stream's encoding may lack characters, which are escaped then; who reads what a process writes
    takes it for UTF-8, or for text in the stream's encoding.
    """
    streams = (getattr(each, "encoding", None) for each in (sys.stdout, sys.stderr))
    encodings: set[str] = {"ascii", "latin-1", *filter(None, streams)}
    for encoding in encodings:
        written = text.encode(encoding, "backslashreplace")
        yield written.decode(encoding)
        yield written.decode("utf-8", "surrogateescape")
        yield text.encode("utf-8", "surrogateescape").decode(encoding, "surrogateescape")

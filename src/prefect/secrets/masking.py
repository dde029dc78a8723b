"""Keeping secret values out of what a run tells: log lines, tracebacks, standard streams."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect.secrets.spellings import SHORTEST, quoted
from prefect.streams import stand_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "***"


class _Known(NamedTuple):
    """A spelling of a secret's value: it, and the same in UTF-8."""

    text: str
    data: bytes


_active: list[_Known] = []
"""Longer ones first, as one may be part of another."""
_learned: dict[str, list[_Known]] = {}
"""Values that came to be known here while a flow ran: other processes of the run may not know them."""
_lock = threading.Lock()


def mask(text: str) -> str:
    """Return the text without the secret values of the runs that are going on."""
    for known in tuple(_active):
        text = text.replace(known.text, MASK)
    return text


def is_masking() -> bool:
    """Tell whether there is anything to mask now."""
    return bool(_active)


def holds_secret(data: bytes | bytearray | memoryview) -> bool:
    """Tell whether a secret's value, of the runs that are going on, stands in something."""
    if not _active:
        return False
    whole = bytes(data) if isinstance(data, memoryview) else data
    return any(known.data in whole for known in tuple(_active))


def learned_in(parts: Iterable[bytes | memoryview]) -> list[str]:
    """Return those values that came to be known here, and stand in something."""
    whole = [bytes(part) for part in parts] if _learned else []
    return [
        value
        for value, searched in tuple(_learned.items())
        if any(known.data in part for known in searched for part in whole)
    ]


def has_learned() -> bool:
    """Tell whether a value came to be known here while a flow ran."""
    return bool(_learned)


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
    _know(searched)
    try:
        with stand_in("stdout") as out, stand_in("stderr") as err:
            out.change = err.change = mask
            yield
    finally:
        with _lock:
            for known in searched:
                _active.remove(known)


def mask_until_exit(values: Iterable[str]) -> None:
    """Do what `masked` does until this process ends.

    For programs that end with their run: exit handlers and threads that it leaves behind may still
    tell what they know.
    """
    if searched := _spellings(values):
        _know(searched)
        stand_in("stdout").__enter__().change = mask
        stand_in("stderr").__enter__().change = mask


def remember(value: Any) -> None:
    """Have `mask` and `holds_secret` know a value from now on, until this process ends.

    For secrets that come to be known while a flow runs: what is written by then is not masked. Of what was
    made of one, such as JSON that was read, each text is known, but no name in a dict.
    """
    for text in _texts(value):
        if any(text == known.text for known in _active):
            continue
        searched = _spellings([text])
        if searched:
            _learned[text] = searched
            _know(searched)


def _know(searched: list[_Known]) -> None:
    with _lock:
        _active[:] = sorted([*_active, *searched], key=_length, reverse=True)


def _length(known: _Known) -> int:
    return len(known.text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple | set | frozenset):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _spellings(values: Iterable[str]) -> list[_Known]:
    """Return what to look for."""
    parts = {part for value in values for part in (value, *value.splitlines())}
    found = {text for part in parts if len(part) >= SHORTEST for text in quoted(part)}
    found |= {text for each in tuple(found) if not each.isascii() for text in _misread(each)}
    return [_Known(text, text.encode(errors="surrogateescape")) for text in found]


def _misread(text: str) -> Iterator[str]:
    """Yield what text becomes where it is written in one encoding and read in another.

    A stream's encoding may lack characters, which are escaped then; who reads what a process writes
    takes it for UTF-8, or for text in the stream's encoding.
    """
    streams = (getattr(each, "encoding", None) for each in (sys.stdout, sys.stderr))
    encodings: set[str] = {"ascii", "latin-1", *filter(None, streams)}
    for encoding in sorted(encodings):
        written = text.encode(encoding, "backslashreplace")
        yield written.decode(encoding)
        yield written.decode("utf-8", "surrogateescape")
        yield text.encode("utf-8", "surrogateescape").decode(encoding, "surrogateescape")

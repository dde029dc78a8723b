"""Keeping secret values out of what a run tells: log lines, tracebacks, standard streams."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect.secrets.spellings import SHORTEST, quoted
from prefect.streams import stand_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "***"


class _Known(NamedTuple):
    """A spelling of a secret's value.

    Args:
        text: it.
        data: the same in UTF-8.
        stand_in: what stands for it where its name counts, and not its value; empty where it has no name.
    """

    text: str
    data: bytes
    stand_in: bytes


_active: list[_Known] = []
"""Longer ones first, as one may be part of another."""
_learned: dict[str, tuple[str | None, list[_Known]]] = {}
"""Values that came to be known here while a flow ran, with their names: other processes of the run may not know them."""
_lock = threading.Lock()


def mask(text: str) -> str:
    """Return the text without the secret values of the runs that are going on."""
    for known in tuple(_active):
        text = text.replace(known.text, MASK)
    return text


def nameable(data: bytes | memoryview) -> bytes | memoryview | None:
    """Return bytes in which the names of secrets stand for their values; None where one has no name.

    A digest of them says nothing of the values, which could be guessed from a digest of what is given.
    """
    whole = found = bytes(data) if _active else b""
    for known in tuple(_active):
        if known.data in whole:
            if not known.stand_in:
                return None
            whole = whole.replace(known.data, known.stand_in)
    return data if whole is found else whole


def is_masking() -> bool:
    """Tell whether there is anything to mask now."""
    return bool(_active)


def holds_secret(data: bytes | bytearray) -> bool:
    """Tell whether a secret's value, of the runs that are going on, stands in something."""
    return any(known.data in data for known in tuple(_active))


def learned_in(parts: Iterable[bytes | memoryview]) -> dict[str, str | None]:
    """Return the names of those values that came to be known here, and stand in something, by value."""
    whole = [bytes(part) for part in parts] if _learned else []
    return {
        value: name
        for value, (name, searched) in tuple(_learned.items())
        if any(known.data in part for known in searched for part in whole)
    }


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
def masked(values: Iterable[str] | Mapping[str, str]) -> Iterator[None]:
    """Have `mask` know the values, and mask what is written to standard output and error.

    A value is also known as Python writes it, as text and as bytes, as JSON and URLs do, and line
    by line. One that a program writes in pieces, in another spelling, or below Python, is not
    recognised.

    Args:
        values: by name, if they have some.
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


def mask_until_exit(values: Iterable[str] | Mapping[str, str], keys: Iterable[str] = ()) -> None:
    """Do what `masked` does until this process ends.

    For programs that end with their run: exit handlers and threads that it leaves behind may still
    tell what they know.

    Args:
        values: by name, if they have some.
        keys: more values, without names.
    """
    if searched := [*_spellings(values), *_spellings(keys)]:
        _know(searched)
        stand_in("stdout").__enter__().change = mask
        stand_in("stderr").__enter__().change = mask


def remember(value: Any, name: str | None = None) -> None:
    """Have `mask` and `holds_secret` know a value from now on, until this process ends.

    For secrets that come to be known while a flow runs: what is written by then is not masked. Of what was
    made of one, such as JSON that was read, each text is known, but no name in a dict.

    Args:
        name: the secret's.
    """
    for text in _texts(value):
        if any(text == known.text for known in _active):
            continue
        searched = _spellings([text] if name is None else {name: text})
        if searched:
            _learned[text] = name, searched
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


def _spellings(values: Iterable[str] | Mapping[str, str]) -> list[_Known]:
    """Return what to look for. Where a value has a name, each spelling has a stand-in of its own."""
    found: dict[str, str] = {}
    named = values.items() if isinstance(values, Mapping) else (("", each) for each in values)
    for name, value in named:
        parts = dict.fromkeys((value, *value.splitlines()))
        texts = [text for part in parts if len(part) >= SHORTEST for text in quoted(part)]
        texts += [text for each in texts if not each.isascii() for text in _misread(each)]
        for number, text in enumerate(dict.fromkeys(texts)):
            found.setdefault(text, f"\0secret {name} {number}\0" if name else "")
    return [
        _Known(text, text.encode(errors="surrogateescape"), stand_in.encode(errors="replace"))
        for text, stand_in in found.items()
    ]


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

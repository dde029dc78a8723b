"""Values out of a line of a record, which anybody may have written: each is checked, and bounded."""

from __future__ import annotations

import re
from typing import Any

from prefect.core.serialization import is_plain, stable_repr
from prefect.patterns import pattern
from prefect.records.run import Result

LATEST = 1e11
"""Seconds since 1970."""
LARGEST = 2**63
_LONGEST = 200
"""Characters of a name."""
_MOST_REQUIREMENTS = 5_000
_PAIR = 2
_RUN = pattern(r"[\w.-]{1,200}", re.ASCII)
_DIGEST = pattern(r"sha256:[0-9a-f]{64}")


def run_id(text: Any) -> str | None:
    """Return a run's id, or None for what cannot be one: it may name a file."""
    return text if isinstance(text, str) and _RUN.fullmatch(text) else None


def seconds_in(time: Any) -> float | None:
    """Return seconds since 1970, or None for what cannot be some."""
    if type(time) in {float, int} and 0 <= time < LATEST:
        return float(time)
    return None


def name_in(text: Any) -> str | None:
    """Return a name, or as much of it as is kept."""
    return text[:_LONGEST] if type(text) is str else None


def parameters_in(values: Any) -> dict[str, Any]:
    """Return values that JSON gives back as they are; of others, their text."""
    if not isinstance(values, dict):
        return {}
    return {
        name: value if is_plain(value) else stable_repr(value) for name, value in values.items()
    }


def versions_in(values: Any) -> dict[str, Any]:
    """Return texts and lists of texts by name."""
    if not isinstance(values, dict):
        return {}
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, str):
            found[name] = value[:_LONGEST]
        elif isinstance(value, list):
            texts = value[:_MOST_REQUIREMENTS]
            found[name] = [text[:_LONGEST] for text in texts if isinstance(text, str)]
    return found


def texts_in(values: Any) -> dict[str, str]:
    """Return short texts by name."""
    if not isinstance(values, dict):
        return {}
    return {
        name[:_LONGEST]: text[:_LONGEST]
        for name, text in list(values.items())[:_MOST_REQUIREMENTS]
        if isinstance(text, str)
    }


def result_in(value: Any) -> Result | None:
    """Return what is known of a result, or None for what is malformed."""
    if not isinstance(value, dict):
        return None
    digest, size, form = value.get("digest"), value.get("size"), value.get("format")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return None
    if type(size) is not int or not 0 <= size < LARGEST or not isinstance(form, str):
        return None
    return Result(digest, size, form[:_LONGEST], run_id(value.get("run")))


def reads_in(values: Any) -> dict[str, tuple[str, str]] | None:
    """Return pairs of a digest and a text by name; None where there are none to be known."""
    if not isinstance(values, dict):
        return None
    pairs = {
        name: pair for name, pair in values.items() if isinstance(pair, list) and len(pair) == _PAIR
    }
    digests = texts_in({name: pair[0] for name, pair in pairs.items()})
    texts = texts_in({name: pair[1] for name, pair in pairs.items()})
    return {name: (digest, texts.get(name, "")) for name, digest in digests.items()}

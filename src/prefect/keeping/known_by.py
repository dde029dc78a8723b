"""What a value, a text or code is known by in keys and records: a digest from which no secret can be guessed.

A secret counts by its name, not by its value: somebody who can read a store could try what a short one may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.secrets.masking import is_masking, nameable
from prefect.store.formats import digest_of

if TYPE_CHECKING:
    from prefect.store.formats import Encoded


def known_by(encoded: Encoded) -> str | None:
    """Return the digest that a value is known by: equal for equal values, if anything is; None if it holds a nameless secret."""
    if is_masking():
        parts = encoded.counted or encoded.parts
        told = [nameable(part) for part in parts]
        if any(each is not part for each, part in zip(told, parts, strict=True)):
            named = [each for each in told if each is not None]
            return digest_of(encoded.format, named) if len(named) == len(told) else None
    return encoded.same or encoded.digest


def text_known_by(text: str) -> str:
    """Return a text with the names of secrets in the place of their values; one without a name leaves nothing."""
    data = text.encode("utf-8", "surrogatepass")
    told = nameable(data)
    return text if told is data else bytes(told or b"").decode("utf-8", "surrogatepass")

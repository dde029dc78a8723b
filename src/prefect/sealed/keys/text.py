"""The text of a key: one line, a prefix that names its kind, strict base64."""

from __future__ import annotations

import base64
import binascii

from prefect.errors import InvalidKeyError


def spell(prefix: str, raw: bytes) -> str:
    """Return a key's bytes as its one line of text."""
    return prefix + base64.b64encode(raw).decode()


def unspell(
    text: bytes | bytearray | memoryview | str, prefix: str, length: int, what: str, fix: str
) -> bytes:
    """Return the bytes that a key's text spells; white space around it does not count.

    Args:
        what, fix: the kind of key and where one comes from, for the error's message. The key itself
            is never quoted.

    Raises:
        TypeError: the text is neither str nor bytes.
        InvalidKeyError: it is not the canonical text of such a key.
    """
    if not isinstance(text, str | bytes | bytearray | memoryview):
        raise TypeError(f"{what} is str or bytes, not {type(text).__name__}")
    line = (text.encode("ascii", "replace") if isinstance(text, str) else bytes(text)).strip()
    body = line.removeprefix(prefix.encode())
    raw = decode_base64(body) if len(body) < len(line) else None
    if raw is None or len(raw) != length:
        raise InvalidKeyError(
            f"{what} is one line that begins with {prefix!r}, followed by {length} bytes in "
            f"base64; this is not. {fix}"
        )
    return raw


def decode_base64(text: bytes, *, altchars: bytes | None = None) -> bytes | None:
    """Return what canonical base64 with padding spells, or None where it is not that."""
    try:
        raw = base64.b64decode(text, altchars=altchars, validate=True)
    except (binascii.Error, ValueError):
        return None
    # Spare bits let several spellings decode to the same bytes; only one of them is canonical.
    return raw if base64.b64encode(raw, altchars=altchars) == text else None

"""The symmetric key of sealed flows: its two spellings, and what is derived from it."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from prefect.errors import InvalidKeyError

KEY_BYTES = 32


class EncryptionKey:
    """32 uniformly random bytes that open sealed flows.

    Spelled as URL-safe base64 with padding (44 characters, the shape of a Fernet key) or as
    the raw bytes. Never a passphrase: nothing here would slow down guessing it. A key shows
    itself only through `encode()`; its repr is blank and it refuses to be pickled.

    Raises:
        TypeError: the key is neither bytes nor str.
        InvalidKeyError: it has another length or is not canonical base64.
    """

    __slots__ = ("_raw",)

    def __init__(self, key: bytes | bytearray | memoryview | str) -> None:
        self._raw = _decode(key)

    @classmethod
    def generate(cls) -> EncryptionKey:
        """Make a new key from the operating system's random source."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def encode(self) -> bytes:
        """Return the key as 44 bytes of URL-safe base64."""
        return base64.urlsafe_b64encode(self._raw)

    def derive(self, purpose: str, length: int = KEY_BYTES) -> bytes:
        """Return a subkey of `length` bytes for one purpose (HKDF-SHA512, RFC 5869)."""
        return derive(self._raw, purpose, length)

    def occurs_in(self, data: bytes) -> bool:
        """Tell whether the key stands in some bytes, raw or as text."""
        return self._raw in data or self.encode() in data

    @property
    def id(self) -> str:
        """A public 16-digit name that tells keys apart and reveals nothing of them."""
        return self.derive("key id", 8).hex()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EncryptionKey):
            return NotImplemented
        return hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return "EncryptionKey(<hidden>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("An encryption key is never pickled: it must not travel with what it opens")


def derive(secret: bytes, purpose: str, length: int = KEY_BYTES) -> bytes:
    """Return `length` bytes derived from a uniformly random secret for one purpose."""
    info = b"prefect sealed flow 1: " + purpose.encode()
    return HKDF(algorithm=SHA512(), length=length, salt=None, info=info).derive(secret)


def _decode(key: bytes | bytearray | memoryview | str) -> bytes:
    if isinstance(key, str):
        text = key.encode("ascii", "replace")
    elif isinstance(key, bytes | bytearray | memoryview):
        text = bytes(key)
    else:
        raise TypeError(f"An encryption key is bytes or str, not {type(key).__name__}")
    if len(text) == KEY_BYTES and not isinstance(key, str):
        return text
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    # Spare bits let several spellings decode to one key; only the canonical one is a key.
    if len(raw) != KEY_BYTES or base64.urlsafe_b64encode(raw) != text:
        raise InvalidKeyError(
            "An encryption key is 32 random bytes, raw or as 44 characters of URL-safe base64; "
            "this one is not. `prefect keygen` makes one"
        )
    return raw

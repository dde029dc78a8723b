"""The symmetric key of sealed flows: its two spellings, and what is derived from it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import ClassVar, Final, NoReturn

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.text import decode_base64

KEY_BYTES: Final = 32


class EncryptionKey:
    """32 uniformly random bytes that open sealed flows.

    Spelled as URL-safe base64 with padding (44 characters, the shape of a Fernet key) or as
    the raw bytes. Never a passphrase: nothing here would slow down guessing it. A key shows
    itself only through `encode()`; its repr is blank and it refuses to be pickled.

    Args:
        key: 32 raw bytes, or the text that `encode()` returned, as str or bytes, also with white
            space around it, as a file has it.

    Raises:
        TypeError: the key is neither bytes nor str.
        InvalidKeyError: it has another length or is not canonical base64.
    """

    __slots__ = ("_raw",)
    algorithm: ClassVar = "A256KW"

    def __init__(self, key: bytes | bytearray | memoryview | str) -> None:
        self._raw = _decode(key)

    @classmethod
    def generate(cls) -> EncryptionKey:
        """Make a new key from the operating system's random source."""
        return cls(os.urandom(KEY_BYTES))

    def encode(self) -> str:
        """Return the key as text: 44 characters of URL-safe base64."""
        return base64.urlsafe_b64encode(self._raw).decode()

    def derive(self, purpose: str, length: int = KEY_BYTES) -> bytes:
        """Return a subkey of `length` bytes for one purpose (HKDF-SHA512, RFC 5869)."""
        return derive(self._raw, purpose, length)

    @property
    def id(self) -> str:
        """A public 16-digit name that tells keys apart and reveals nothing of them."""
        return self.derive("key id", 8).hex()

    def wrap(self, data_key: bytes, core: bytes) -> bytes:
        """Return a file's data key, encrypted for whoever has this key (RFC 3394).

        Args:
            core: the file's, to which the wrap is bound. Else the holder of another key, who knows
                the data key, could put it onto a file of other content.
        """
        return aes_key_wrap(self._wrapping_key(core), data_key)

    def unwrap(self, wrapped: bytes, core: bytes) -> bytes | None:
        """Return the data key, or None where it was not wrapped by this key for this core."""
        try:
            return aes_key_unwrap(self._wrapping_key(core), wrapped)
        except InvalidUnwrap:
            return None

    def _wrapping_key(self, core: bytes) -> bytes:
        return derive(self._raw, "key wrap ", bound_to=hashlib.sha256(core).digest())

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


def derive(secret: bytes, purpose: str, length: int = KEY_BYTES, *, bound_to: bytes = b"") -> bytes:
    """Return `length` bytes derived from a uniformly random secret for one purpose."""
    info = b"prefect sealed flow 1: " + purpose.encode() + bound_to
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
    raw = decode_base64(text.strip(), altchars=b"-_")
    if raw is None or len(raw) != KEY_BYTES:
        raise InvalidKeyError(
            "An encryption key is 32 random bytes, raw or as 44 characters of URL-safe base64; "
            "this one is not. `prefect keygen` makes one"
        )
    return raw

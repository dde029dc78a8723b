"""Any key from its text: the prefix says which kind it is."""

from __future__ import annotations

from typing import TypeAlias

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.encryption import KEY_BYTES, EncryptionKey
from prefect.sealed.keys.recipients import Identity, Recipient
from prefect.sealed.keys.signers import Signer, SigningKey

OpeningKey: TypeAlias = EncryptionKey | Identity
WrappingKey: TypeAlias = EncryptionKey | Recipient
Key: TypeAlias = EncryptionKey | Identity | Recipient | SigningKey | Signer

_PREFIXED: tuple[type[Identity | Recipient | SigningKey | Signer], ...] = (
    Identity,
    Recipient,
    SigningKey,
    Signer,
)


def parse_key(text: bytes | bytearray | memoryview | str | Key) -> Key:
    """Return the key that a line of text spells, whichever kind it is.

    Args:
        text: what a key's `encode()` returned, white space around it does not count; or the 32 raw
            bytes of an encryption key. A key is returned as it is.

    Raises:
        TypeError: the text is neither str nor bytes.
        InvalidKeyError: it spells no key. The message never quotes it.
    """
    if isinstance(text, Key):
        return text
    if isinstance(text, bytes | bytearray | memoryview):
        if len(bytes(text)) == KEY_BYTES:
            return EncryptionKey(text)
        text = bytes(text).decode("ascii", "replace")
    if not isinstance(text, str):
        raise TypeError(f"The text of a key is str or bytes, not {type(text).__name__}")
    text = text.strip()
    for kind in _PREFIXED:
        if text.startswith(kind.prefix):
            return kind(text)
    if text.startswith("prefect-"):
        raise InvalidKeyError(
            "This key is of a kind that this release does not know. Upgrade prefect"
        )
    return EncryptionKey(text)

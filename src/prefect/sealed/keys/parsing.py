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


def parse_key(text: str | bytes) -> Key:
    """Return the key that a line of text spells, whichever kind it is.

    Raises:
        TypeError: the text is neither str nor bytes.
        InvalidKeyError: it spells no key. The message never quotes it.
    """
    if not isinstance(text, str | bytes):
        raise TypeError(f"The text of a key is str or bytes, not {type(text).__name__}")
    if isinstance(text, bytes) and len(text) == KEY_BYTES:
        return EncryptionKey(text)
    line = text if isinstance(text, str) else text.decode("ascii", "replace")
    for kind in _PREFIXED:
        if line.startswith(kind.prefix):
            return kind(line)
    if line.startswith("prefect-"):
        raise InvalidKeyError(
            "This key is of a kind that this release does not know. Upgrade prefect"
        )
    return EncryptionKey(line)

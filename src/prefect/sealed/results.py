"""Stored results, encrypted with the key of sealed flows: what lies at rest, and what it is called."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.sealed.keys.encryption import EncryptionKey


class ResultCipher:
    """Encrypts files of a store, each bound to its name, and makes names that say nothing without the key.

    Args:
        key: from which keys of its own are derived, so that nothing of a sealed flow can stand here.
    """

    def __init__(self, key: EncryptionKey) -> None:
        self.key_id = key.id
        self._key = key.derive("stored results")
        self._naming = key.derive("names of stored results")

    def name(self, text: str) -> str:
        """Return 64 hexadecimal digits for a text, always the same ones."""
        return hmac.new(self._naming, text.encode(), hashlib.sha256).hexdigest()

    def encrypt(self, parts: Sequence[bytes | bytearray | memoryview], name: str) -> list[bytes]:
        """Return a file of that name."""
        encryptor = Cobblestone256Encryptor(self._key, name.encode())
        return [*map(encryptor.update, parts), encryptor.finalize()]

    def decrypt(self, data: bytes | bytearray | memoryview, name: str) -> bytearray | None:
        """Return what a file of that name has; None of one that is damaged, or of another name or key."""
        decryptor = Cobblestone256Decryptor(self._key, name.encode())
        try:
            found = bytearray(decryptor.update(data))
            found += decryptor.finalize()
        except (InvalidTag, ValueError):
            return None
        return found

"""Key pairs of those who may open a sealed flow: post-quantum HPKE (RFC 9180)."""

from __future__ import annotations

import hashlib
import hmac
from typing import ClassVar, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.text import spell, unspell

# ML-KEM-768 and X25519 together: whoever breaks one of the two still reads nothing.
_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA512, AEAD.AES_256_GCM)
_INFO: Final = b"prefect sealed flow 1: recipient"
_SEED_BYTES, _MLKEM_PUBLIC_BYTES, _X25519_BYTES = 64, 1184, 32
_FIX: Final = "`prefect keygen --recipient FILE` makes an identity, and its recipient in FILE.pub"


class Recipient:
    """The public key of someone who may open files.

    Whoever knows it can make files that its owner can open: it says nothing of who made one, so
    files for recipients are signed.

    Args:
        text: the line of text that `encode()` returned, as str or bytes.

    Raises:
        TypeError: the text is neither str nor bytes.
        InvalidKeyError: it is not the text of a recipient.
    """

    __slots__ = ("_key", "_raw")
    algorithm: ClassVar = "HPKE-MLKEM768-X25519"
    prefix: ClassVar = "prefect-recipient-1:"

    def __init__(self, text: bytes | bytearray | memoryview | str) -> None:
        self._raw = unspell(
            text, self.prefix, _MLKEM_PUBLIC_BYTES + _X25519_BYTES, "A recipient", _FIX
        )
        try:
            self._key = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self._raw[:_MLKEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(self._raw[_MLKEM_PUBLIC_BYTES:]),
            )
        except ValueError:
            raise InvalidKeyError(f"This recipient's bytes are no public key. {_FIX}") from None

    def encode(self) -> str:
        """Return the recipient's one line of text."""
        return spell(self.prefix, self._raw)

    @property
    def id(self) -> str:
        """16 digits by which the key is recognised: a hint, no proof."""
        return hashlib.sha512(self._raw).digest()[:8].hex()

    def wrap(self, data_key: bytes, core: bytes) -> bytes:  # noqa: ARG002 - as all keys do
        """Return a file's data key, encrypted for the owner of this public key.

        It is not bound to the file's core: anybody could make it, and the signature binds.

        Raises:
            InvalidKeyError: nothing can be encrypted for it; its bytes were chosen to harm.
        """
        try:
            return _SUITE.encrypt(data_key, self._key, _INFO)
        except ValueError:
            raise InvalidKeyError(f"Nothing can be encrypted for the key {self.id}") from None

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if isinstance(other, Recipient) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"Recipient(<{self.id}>)"


class Identity:
    """The private key that opens what was sealed for its recipient.

    Its repr is blank and it refuses to be pickled.

    Args:
        text: the line of text that `encode()` returned, as str or bytes.

    Raises:
        TypeError: the text is neither str nor bytes.
        InvalidKeyError: it is not the text of an identity.
    """

    __slots__ = ("_key", "_raw", "recipient")
    algorithm: ClassVar = Recipient.algorithm
    prefix: ClassVar = "prefect-identity-1:"

    def __init__(self, text: bytes | bytearray | memoryview | str) -> None:
        self._raw = unspell(text, self.prefix, _SEED_BYTES + _X25519_BYTES, "An identity", _FIX)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(self._raw[:_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(self._raw[_SEED_BYTES:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self.recipient: Final = Recipient(spell(Recipient.prefix, public))

    @classmethod
    def generate(cls) -> Identity:
        """Make a new identity from the operating system's random source."""
        mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        return cls(spell(cls.prefix, mlkem.private_bytes_raw() + x25519.private_bytes_raw()))

    def encode(self) -> str:
        """Return the identity's one line of text."""
        return spell(self.prefix, self._raw)

    @property
    def id(self) -> str:
        """The id of its public key."""
        return self.recipient.id

    def unwrap(self, wrapped: bytes, core: bytes) -> bytes | None:  # noqa: ARG002 - as all keys do
        """Return the data key, or None where it was not wrapped for this identity."""
        try:
            return _SUITE.decrypt(wrapped, self._key, _INFO)
        except (InvalidTag, ValueError):
            return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return NotImplemented
        return hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return "Identity(<hidden>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("An identity is never pickled: it must not travel with what it opens")

"""Who made a sealed flow: Ed25519 signatures (RFC 8032) over its core."""

from __future__ import annotations

import hashlib
import hmac
from typing import ClassVar, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.text import spell, unspell

ALGORITHM: Final = "Ed25519"
SIGNATURE_BYTES: Final = 64
_KEY_BYTES: Final = 32
_TYPE: Final = b"application/vnd.prefect.sealed-flow+json"
_FIX: Final = "`prefect keygen --signing FILE` makes a signing key, and its signer in FILE.pub"


class Signer:
    """The public key of someone whose signature can be trusted.

    Args:
        text: the line of text that `encode()` returned, as str or bytes.

    Raises:
        TypeError: the text is neither str nor bytes.
        InvalidKeyError: it is not the text of a signer.
    """

    __slots__ = ("_key", "_raw")
    prefix: ClassVar = "prefect-signer-1:"

    def __init__(self, text: bytes | bytearray | memoryview | str) -> None:
        self._raw = unspell(text, self.prefix, _KEY_BYTES, "A signer", _FIX)
        try:
            self._key = Ed25519PublicKey.from_public_bytes(self._raw)
        except ValueError:
            raise InvalidKeyError(f"This signer's bytes are no public key. {_FIX}") from None

    def encode(self) -> str:
        """Return the signer's one line of text."""
        return spell(self.prefix, self._raw)

    @property
    def id(self) -> str:
        """16 digits by which the key is recognised: a hint, no proof."""
        return hashlib.sha512(self._raw).digest()[:8].hex()

    def has_signed(self, core: bytes, signature: bytes) -> bool:
        """Tell whether this signer made the signature, over this core."""
        try:
            self._key.verify(signature, pre_authentication_encoding(core))
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if isinstance(other, Signer) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw)

    def __repr__(self) -> str:
        return f"Signer({self.encode()!r})"


class SigningKey:
    """The private key of someone who signs.

    Its repr is blank and it refuses to be pickled.

    Args:
        text: the line of text that `encode()` returned, as str or bytes.

    Raises:
        TypeError: the text is neither str nor bytes.
        InvalidKeyError: it is not the text of a signing key.
    """

    __slots__ = ("_key", "_raw", "signer")
    prefix: ClassVar = "prefect-signing-key-1:"

    def __init__(self, text: bytes | bytearray | memoryview | str) -> None:
        self._raw = unspell(text, self.prefix, _KEY_BYTES, "A signing key", _FIX)
        self._key = Ed25519PrivateKey.from_private_bytes(self._raw)
        self.signer: Final = Signer(spell(Signer.prefix, self._key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new signing key from the operating system's random source."""
        return cls(spell(cls.prefix, Ed25519PrivateKey.generate().private_bytes_raw()))

    def encode(self) -> str:
        """Return the signing key's one line of text."""
        return spell(self.prefix, self._raw)

    @property
    def id(self) -> str:
        """The id of its public key."""
        return self.signer.id

    def sign(self, core: bytes) -> bytes:
        """Return the signature over a core, and so over all sections that it names."""
        return self._key.sign(pre_authentication_encoding(core))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SigningKey):
            return NotImplemented
        return hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return "SigningKey(<hidden>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signing key is never pickled: it must not travel with what it signs")


def pre_authentication_encoding(core: bytes) -> bytes:
    """Return what is signed in a core's stead: DSSE's encoding of it and its type."""
    return b"DSSEv1 %d %b %d %b" % (len(_TYPE), _TYPE, len(core), core)

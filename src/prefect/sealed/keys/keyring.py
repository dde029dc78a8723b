"""The keys of somebody who seals and opens: what is sealed for, opened with, signed with, trusted."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeVar

from prefect.errors import ArtifactError, InvalidKeyError, SignaturePolicyError
from prefect.frozen import frozen
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity, Recipient
from prefect.sealed.keys.signers import Signer, SigningKey
from prefect.sealed.writing import unsigned

if TYPE_CHECKING:
    from prefect.sealed.keys.parsing import OpeningKey, WrappingKey

_K = TypeVar("_K", EncryptionKey, Identity, Recipient, Signer)


@frozen
class Keyring:
    """Parsed keys; their reprs hide what is secret.

    Args:
        encryption_keys: seals with the first, opens with any.
        trusted_signers: None asks for no signature.
        recipients: seals for all of them, too.
        identities: open what was sealed for their recipients.
        signing_key: signs what is sealed.

    Raises:
        TypeError: a key is of another kind, or keys are no tuple; `Keyring.of` takes other spellings.
    """

    encryption_keys: tuple[EncryptionKey, ...]
    recipients: tuple[Recipient, ...]
    identities: tuple[Identity, ...]
    signing_key: SigningKey | None
    trusted_signers: tuple[Signer, ...] | None

    def __post_init__(self) -> None:
        _require("encryption_keys", self.encryption_keys, EncryptionKey)
        _require("recipients", self.recipients, Recipient)
        _require("identities", self.identities, Identity)
        _require("signing_key", () if self.signing_key is None else (self.signing_key,), SigningKey)
        trusted = () if self.trusted_signers is None else self.trusted_signers
        _require("trusted_signers", trusted, Signer)

    @classmethod
    def of(
        cls,
        encryption_key: Any = None,
        *,
        recipients: Any = None,
        identity: Any = None,
        signing_key: Any = None,
        trusted_signers: Any = None,
    ) -> Keyring:
        """Read keys as the constructor of `PickleEnvironment` takes them.

        Without any, there is a new encryption key.

        Args:
            encryption_key: one, or several in a list: the first seals, any opens.
            recipients: public keys of those who may open, too; this needs a signing key.
            identity: a private key that opens, or several; reading with it needs trusted signers.
            signing_key: signs what is sealed.
            trusted_signers: public keys, one of which must have signed what is read; None asks for
                no signature.

        Raises:
            TypeError: something is neither text nor a key of its kind.
            InvalidKeyError: something is not the text of such a key, or a list is empty.
            SignaturePolicyError: recipients and no signing key, or nobody to trust.
        """
        keys = cls(
            encryption_keys=_several(EncryptionKey, encryption_key),
            recipients=_several(Recipient, recipients),
            identities=_several(Identity, identity),
            signing_key=_one(SigningKey, signing_key),
            trusted_signers=(
                None if trusted_signers is None else _several(Signer, trusted_signers)
            ),
        )
        if keys.recipients and keys.signing_key is None:
            raise SignaturePolicyError(unsigned())
        if not (keys.encryption_keys or keys.recipients or keys.identities):
            return cls((EncryptionKey.generate(),), (), (), keys.signing_key, keys.trusted_signers)
        return keys

    def private_texts(self) -> list[bytes]:
        """Return the private keys as a program would hold them, to be searched for."""
        texts = [key.encode().encode() for key in self.encryption_keys]
        texts += [base64.urlsafe_b64decode(text) for text in texts]  # as raw bytes, too
        texts += [key.encode().encode() for key in self.identities]
        return texts + ([self.signing_key.encode().encode()] if self.signing_key else [])

    def first(self) -> EncryptionKey:
        """Return the encryption key that seals.

        Raises:
            ArtifactError: there is none.
        """
        if not self.encryption_keys:
            raise ArtifactError(
                "This environment has no encryption key: it was made for recipients or with an "
                "identity. Give encryption_key=… beside them"
            )
        return self.encryption_keys[0]

    def to_seal(self) -> list[WrappingKey]:
        """Return the holders of what is sealed.

        Raises:
            ArtifactError: there are none.
        """
        holders: list[WrappingKey] = [*self.encryption_keys[:1], *self.recipients]
        if not holders:
            raise ArtifactError(
                "This environment can open flows, and has no key to seal them with. Give "
                "encryption_key=… or recipients=…"
            )
        return holders

    def to_open(self) -> list[OpeningKey]:
        """Return the keys that open.

        Raises:
            ArtifactError: there are none.
        """
        keys: list[OpeningKey] = [*self.encryption_keys, *self.identities]
        if not keys:
            raise ArtifactError(
                "This environment seals for recipients, and has no key to open flows with. Give "
                "encryption_key=… or identity=…"
            )
        return keys


def _require(name: str, given: Any, kind: type) -> None:
    if not isinstance(given, tuple):
        raise TypeError(f"{name} is a tuple of {kind.__name__}, not {type(given).__name__}")
    for key in given:
        if not isinstance(key, kind):
            raise TypeError(f"{name} has a {type(key).__name__}, and {kind.__name__} is needed")


def _several(kind: type[_K], given: Any) -> tuple[_K, ...]:
    if given is None:
        return ()
    items = list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
    if not items:
        raise InvalidKeyError(f"An empty list names no {kind.__name__}; leave it out instead")
    return tuple(dict.fromkeys(item if isinstance(item, kind) else kind(item) for item in items))


def _one(kind: type[SigningKey], given: Any) -> SigningKey | None:
    return given if given is None or isinstance(given, kind) else kind(given)

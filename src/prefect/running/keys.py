"""Which keys open a sealed flow: those of files, else that of the environment variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from prefect.errors import InvalidKeyError
from prefect.running.key_variable import KEY_VARIABLE
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.keyring import Keyring
from prefect.sealed.keys.parsing import parse_key
from prefect.sealed.keys.recipients import Identity, Recipient
from prefect.sealed.keys.signers import Signer, SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect.sealed.keys.parsing import Key
    from prefect.sealed.source import SealedSource

# The longest text of a key is a recipient's, of 1642 characters; nobody means a larger file.
LARGEST_KEY_FILE = 4096
_K = TypeVar("_K", EncryptionKey, Recipient, Signer, SigningKey)
_P = TypeVar("_P", Recipient, Signer)

KINDS: dict[type, str] = {
    EncryptionKey: "an encryption key",
    Identity: "an identity",
    Recipient: "a recipient",
    SigningKey: "a signing key",
    Signer: "a signer",
}


class KeyFiles:
    """Keys as files have them.

    Args:
        read: returns the beginning of a file, of `LARGEST_KEY_FILE` bytes; its errors pass through.
    """

    def __init__(self, read: Callable[[Path], bytes]) -> None:
        self._read = read

    def keyring(self, paths: Sequence[Path], trusted_signers: Sequence[str] = ()) -> Keyring | None:
        """Return the keys of files, else of the environment variable; None where none is named.

        Raises:
            InvalidKeyError: something is no key, or no key that opens.
        """
        wanted = "an encryption key or an identity"
        found = [(str(path), self.key_in(path, wanted)) for path in paths]
        if not found and (text := os.environ.get(KEY_VARIABLE, "").strip()):
            found = [(KEY_VARIABLE, parse_key(text))]
        if not found:
            return None
        for where, key in found:
            if not isinstance(key, EncryptionKey | Identity):
                raise InvalidKeyError(
                    f"{where} holds {KINDS[type(key)]}; an encryption key or an identity is needed"
                )
        return Keyring.of(
            [key for _, key in found if isinstance(key, EncryptionKey)] or None,
            identity=[key for _, key in found if isinstance(key, Identity)] or None,
            trusted_signers=[self.public(Signer, text) for text in trusted_signers] or None,
        )

    def keyring_to_open(
        self,
        source: SealedSource,
        name: str,
        paths: Sequence[Path],
        trusted_signers: Sequence[str] = (),
    ) -> Keyring:
        """Return what opens a sealed flow: from files, else from the environment variable.

        Args:
            source: is looked into where there is no key, to say which one it needs.
            name: what it is called in that error.

        Raises:
            InvalidKeyError: there is no key, or something is none.
            FormatError: there is no key, and it is no sealed flow.
        """
        keyring = self.keyring(paths, trusted_signers)
        if keyring is None:
            from prefect.sealed.reading import outline  # noqa: PLC0415 - for this error alone

            raise InvalidKeyError(
                f"There is no key to open {name} with. It opens for {outline(source).opens_for}: give "
                f"that key with --key-file FILE, or set {KEY_VARIABLE}"
            )
        return keyring

    def public(self, kind: type[_P], argument: str) -> _P:
        """Return a public key from its text, or from the file that holds it.

        Raises:
            InvalidKeyError: it is something else.
        """
        if argument.startswith(kind.prefix):
            return kind(argument)
        if argument.startswith("prefect-"):  # perhaps a private key, which is not to be quoted
            raise InvalidKeyError(f"This is another kind of key; {KINDS[kind]} is needed")
        return self.expect(kind, Path(argument))

    def expect(self, kind: type[_K], path: Path) -> _K:
        """Return the key of a file.

        Raises:
            InvalidKeyError: it is of another kind, or none.
        """
        key = self.key_in(path, KINDS[kind])
        if not isinstance(key, kind):
            raise InvalidKeyError(f"{path} holds {KINDS[type(key)]}; {KINDS[kind]} is needed")
        return key

    def key_in(self, path: Path, wanted: str) -> Key:
        """Return the key of a file, whatever kind it is.

        Args:
            wanted: what is needed, for the error.

        Raises:
            InvalidKeyError: it holds none.
        """
        text = self._read(path)
        try:
            return parse_key(text)
        except InvalidKeyError as error:
            # Only what begins as a key is known to be meant as one of its kind.
            if b"prefect-" in text[:64]:
                raise InvalidKeyError(f"{path}: {error}") from None
            raise InvalidKeyError(
                f"{path} holds no key, and {wanted} is needed: `prefect keygen` makes one"
            ) from None

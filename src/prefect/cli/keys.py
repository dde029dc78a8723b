"""Where the command takes its keys from, and where it puts new ones."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from prefect.cli import standard_input
from prefect.errors import InvalidKeyError
from prefect.files import create
from prefect.running.flow_directory import KEY_VARIABLE
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.keyring import Keyring
from prefect.sealed.keys.parsing import parse_key
from prefect.sealed.keys.recipients import Identity, Recipient
from prefect.sealed.keys.signers import Signer, SigningKey

if TYPE_CHECKING:
    from prefect.sealed.keys.parsing import Key
    from prefect.sealed.source import SealedSource

# The longest text of a key is a recipient's, of 1642 characters; nobody means a larger file.
_LARGEST_KEY_FILE = 4096
_K = TypeVar("_K", EncryptionKey, Recipient, Signer, SigningKey)
_P = TypeVar("_P", Recipient, Signer)

_KINDS: dict[type, str] = {
    EncryptionKey: "an encryption key",
    Identity: "an identity",
    Recipient: "a recipient",
    SigningKey: "a signing key",
    Signer: "a signer",
}


def keyring_to_open(
    source: SealedSource,
    name: str,
    key_files: tuple[Path, ...],
    trusted_signers: tuple[str, ...] = (),
) -> Keyring:
    """Return what opens a sealed flow: from files, else from the environment variable.

    Args:
        source: is looked into where there is no key, to say which one it needs.
        name: what it is called in that error.

    Raises:
        InvalidKeyError: there is no key, or something is none.
        FormatError: there is no key, and it is no sealed flow.
        click.ClickException: a file cannot be read.
    """
    keyring = find_keyring(key_files, trusted_signers)
    if keyring is None:
        from prefect.sealed.reading import outline  # noqa: PLC0415 - for this error alone

        raise InvalidKeyError(
            f"There is no key to open {name} with. It opens for {outline(source).opens_for}: give "
            f"that key with --key-file FILE, or set {KEY_VARIABLE}"
        )
    return keyring


def read_keyring(key_files: tuple[Path, ...]) -> Keyring:
    """Return what seals flows: from files, else from the environment variable.

    Raises:
        InvalidKeyError: there is no key, or something is none.
        click.ClickException: a file cannot be read.
    """
    keyring = find_keyring(key_files)
    if keyring is None:
        raise InvalidKeyError(
            f"There is no encryption key: give --key-file FILE or set {KEY_VARIABLE}. "
            "`prefect keygen FILE` makes a key"
        )
    return keyring


def find_keyring(
    key_files: tuple[Path, ...], trusted_signers: tuple[str, ...] = ()
) -> Keyring | None:
    """Return the keys of files, else of the environment variable; None where none is named."""
    found = [(str(path), _key_in(path, "an encryption key or an identity")) for path in key_files]
    if not found and (text := os.environ.get(KEY_VARIABLE, "").strip()):
        found = [(KEY_VARIABLE, parse_key(text))]
    if not found:
        return None
    for where, key in found:
        if not isinstance(key, EncryptionKey | Identity):
            raise InvalidKeyError(
                f"{where} holds {_KINDS[type(key)]}; an encryption key or an identity is needed"
            )
    return Keyring.of(
        [key for _, key in found if isinstance(key, EncryptionKey)] or None,
        identity=[key for _, key in found if isinstance(key, Identity)] or None,
        trusted_signers=[_public(Signer, text) for text in trusted_signers] or None,
    )


def read_encryption_keys(paths: tuple[Path, ...]) -> list[EncryptionKey]:
    """Return the encryption keys of files.

    Raises:
        InvalidKeyError: a file holds something else.
        click.ClickException: a file cannot be read.
    """
    return [_expect(EncryptionKey, path) for path in paths]


def read_recipients(texts: tuple[str, ...]) -> list[Recipient]:
    """Return recipients from their texts or the files that hold them.

    Raises:
        InvalidKeyError: something is no recipient.
        click.ClickException: a file cannot be read.
    """
    return [_public(Recipient, text) for text in texts]


def read_signing_key(path: Path | None) -> SigningKey | None:
    """Return the signing key of a file, or None where there is no path.

    Raises:
        InvalidKeyError: the file holds something else.
        click.ClickException: the file cannot be read.
    """
    return None if path is None else _expect(SigningKey, path)


def _public(kind: type[_P], argument: str) -> _P:
    if argument.startswith(kind.prefix):
        return kind(argument)
    if argument.startswith("prefect-"):  # perhaps a private key, which is not to be quoted
        raise InvalidKeyError(f"This is another kind of key; {_KINDS[kind]} is needed")
    return _expect(kind, Path(argument))


def _expect(kind: type[_K], path: Path) -> _K:
    key = _key_in(path, _KINDS[kind])
    if not isinstance(key, kind):
        raise InvalidKeyError(f"{path} holds {_KINDS[type(key)]}; {_KINDS[kind]} is needed")
    return key


def _key_in(path: Path, wanted: str) -> Key:
    """Return the key of a file, whatever kind it is."""
    text = _read(path)
    try:
        return parse_key(text)
    except InvalidKeyError as error:
        # Only what begins as a key is known to be meant as one of its kind.
        if b"prefect-" in text[:64]:
            raise InvalidKeyError(f"{path}: {error}") from None
        raise InvalidKeyError(
            f"{path} holds no key, and {wanted} is needed: `prefect keygen` makes one"
        ) from None


def _read(path: Path) -> bytes:
    try:
        dash = str(path) == standard_input.NAME
        with nullcontext(standard_input.standard_input()) if dash else path.open("rb") as file:
            return file.read(_LARGEST_KEY_FILE)
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error


def write_key_file(path: Path, key: str, *, public: str | None = None) -> None:
    """Write a private key to a new file of mode 0600, and its public one to FILE.pub.

    Each is written complete or not at all, and never over another.

    Raises:
        click.ClickException: a file exists, or cannot be written.
    """
    public_path = path.with_name(f"{path.name}.pub")
    # The private key's own file first: of both, it is the one that would be missed.
    if public is not None and not path.exists() and public_path.exists():
        raise click.ClickException(
            f"{public_path} exists and is not overwritten, and {path} would be of another key. Choose "
            "another name"
        )
    try:
        create(path, f"{key}\n".encode())
        if public is not None:
            create(public_path, f"{public}\n".encode(), mode=0o644)
    except FileExistsError:
        raise click.ClickException(
            f"{path} exists and is not overwritten: what it opens would be lost. "
            "Choose another name"
        ) from None
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error


def write_public_key(path: Path) -> Path:
    """Write FILE.pub for the private key in FILE; return its path.

    Raises:
        InvalidKeyError: FILE holds no key that has a public one.
        click.ClickException: FILE cannot be read, or FILE.pub is there or cannot be written.
    """
    key = _key_in(path, "an identity or a signing key")
    if isinstance(key, Identity):
        public = key.recipient.encode()
    elif isinstance(key, SigningKey):
        public = key.signer.encode()
    else:
        raise InvalidKeyError(
            f"{path} holds {_KINDS[type(key)]}; an identity or a signing key is needed"
        )
    public_path = path.with_name(f"{path.name}.pub")
    try:
        create(public_path, f"{public}\n".encode(), mode=0o644)
    except FileExistsError:
        raise click.ClickException(f"{public_path} exists and is not overwritten") from None
    except OSError as error:
        raise click.FileError(str(public_path), error.strerror or str(error)) from error
    return public_path

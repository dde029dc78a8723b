"""Where the command takes its keys from, and where it puts new ones."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from prefect.cli import standard_input
from prefect.errors import InvalidKeyError
from prefect.files import create
from prefect.running.key_variable import KEY_VARIABLE
from prefect.running.keys import KINDS, LARGEST_KEY_FILE, KeyFiles
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity, Recipient
from prefect.sealed.keys.signers import SigningKey

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.source import SealedSource


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
    return _FILES.keyring_to_open(source, name, key_files, trusted_signers)


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
    return _FILES.keyring(key_files, trusted_signers)


def read_encryption_keys(paths: tuple[Path, ...]) -> list[EncryptionKey]:
    """Return the encryption keys of files.

    Raises:
        InvalidKeyError: a file holds something else.
        click.ClickException: a file cannot be read.
    """
    return [_FILES.expect(EncryptionKey, path) for path in paths]


def read_recipients(texts: tuple[str, ...]) -> list[Recipient]:
    """Return recipients from their texts or the files that hold them.

    Raises:
        InvalidKeyError: something is no recipient.
        click.ClickException: a file cannot be read.
    """
    return [_FILES.public(Recipient, text) for text in texts]


def read_signing_key(path: Path | None) -> SigningKey | None:
    """Return the signing key of a file, or None where there is no path.

    Raises:
        InvalidKeyError: the file holds something else.
        click.ClickException: the file cannot be read.
    """
    return None if path is None else _FILES.expect(SigningKey, path)


def _read(path: Path) -> bytes:
    try:
        dash = str(path) == standard_input.NAME
        with nullcontext(standard_input.standard_input()) if dash else path.open("rb") as file:
            return file.read(LARGEST_KEY_FILE)
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error


_FILES = KeyFiles(_read)


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
    key = _FILES.key_in(path, "an identity or a signing key")
    if isinstance(key, Identity):
        public = key.recipient.encode()
    elif isinstance(key, SigningKey):
        public = key.signer.encode()
    else:
        raise InvalidKeyError(
            f"{path} holds {KINDS[type(key)]}; an identity or a signing key is needed"
        )
    public_path = path.with_name(f"{path.name}.pub")
    try:
        create(public_path, f"{public}\n".encode(), mode=0o644)
    except FileExistsError:
        raise click.ClickException(f"{public_path} exists and is not overwritten") from None
    except OSError as error:
        raise click.FileError(str(public_path), error.strerror or str(error)) from error
    return public_path

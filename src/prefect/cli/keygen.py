"""`prefect keygen`: a new key, or pair of keys."""

from __future__ import annotations

from pathlib import Path

import click

from prefect.cli.keys import write_key_file, write_public_key
from prefect.cli.options import Command
from prefect.cli.output import say
from prefect.running.key_variable import KEY_VARIABLE
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey


@click.command(cls=Command, short_help="Make an encryption key, or a pair of keys.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default=None,
                required=False)  # fmt: skip
@click.option("--recipient", is_flag=True, help="An identity, and its recipient in FILE.pub.")
@click.option("--signing", is_flag=True, help="A signing key, and its signer in FILE.pub.")
@click.option("--public", is_flag=True, help="Only write FILE.pub anew, from the key in FILE.")
def keygen(file: Path | None, recipient: bool, signing: bool, public: bool) -> None:
    """Make a new key in FILE, readable by you alone.

    Without an option it is an encryption key (default FILE: prefect.key). Whoever has it can read
    the flows that were sealed with it and make files that it opens: keep it apart from them. In the
    variable PREFECT_STORE_KEY such a key also encrypts the results of runs that are kept.

    With --recipient it is an identity: others seal for the recipient in FILE.pub, and only the
    identity opens that. With --signing it is a signing key: others trust the signer in FILE.pub.
    Files with .pub are public; nothing in them has to be kept secret. Where one was lost, --public
    writes it again.

    An existing file is never overwritten. FILE "-" writes the private key to standard output, for
    a secret store, and the public one to standard error.
    """
    if recipient + signing + public > 1:
        raise click.UsageError(
            "--recipient and --signing make different keys, and --public makes none: choose one"
        )
    if public:
        if file is None or str(file) == "-":
            raise click.UsageError("--public needs the FILE of a private key")
        say(f"Wrote {write_public_key(file)}.", err=True)
    elif recipient:
        identity = Identity.generate()
        text, other = identity.encode(), identity.recipient.encode()
        _put(file or Path("prefect-identity"), "identity", identity.id, text, other)
    elif signing:
        key = SigningKey.generate()
        text, other = key.encode(), key.signer.encode()
        _put(file or Path("prefect-signing-key"), "signing key", key.id, text, other)
    else:
        new = EncryptionKey.generate()
        _put(file or Path("prefect.key"), "key", new.id, new.encode(), None)


def _put(file: Path, kind: str, key_id: str, text: str, public: str | None) -> None:
    if str(file) == "-":
        click.echo(text)
        if public is not None:
            click.echo(public, err=True)
        return
    write_key_file(file, text, public=public)
    say(f"Wrote the {kind} {key_id} to {file} (mode 0600).", err=True)
    if public is None:
        say(
            f"Use it with --key-file {file}, or as {KEY_VARIABLE}; as PREFECT_STORE_KEY it encrypts the results of runs that are "
            "kept.",
            err=True,
        )
    else:
        option = "--recipient" if kind == "identity" else "--trusted-signer"
        say(f"Give others {file}.pub, for {option}.", err=True)

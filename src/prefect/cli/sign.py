"""`prefect sign`: one more signature in a sealed flow, or one of SSH beside it."""

from __future__ import annotations

from pathlib import Path

import click

from prefect.cli.artifacts import require_sealed_file, writing
from prefect.cli.keys import read_signing_key
from prefect.cli.options import Command, signing_key_option
from prefect.cli.output import as_before, is_replaceable, refuse_inputs, say
from prefect.files import read_small, replacing
from prefect.sealed.rewrapping import add_signature, require_intact
from prefect.sealed.sshsig import ssh_sign

_LARGEST_SSH_KEY = 64 * 1024  # one of RSA with 16384 bits has 13 KiB


@click.command(cls=Command, short_help="Sign a sealed flow.")
@click.argument("file", metavar="FILE.flow|FILE.pyz")
@signing_key_option
@click.option(
    "--ssh-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="An OpenSSH private key: write a detached signature to FILE.flow.sig.",
)  # fmt: skip
def sign(file: str, signing_key: Path | None, ssh_key: Path | None) -> None:
    """Sign FILE.flow. No key that opens it is needed: its digests are signed, not its content.

    In a FILE.pyz, it is the sealed flow that is signed, and by it the digest of all that stands beside it
    in the clear; with --ssh-key it is the whole file.

    With --signing-key the signature goes into the file, beside those that are there; readers ask
    for it with --trusted-signer. Sign only what you built or have verified.

    With --ssh-key it is written to FILE.flow.sig, for people who check it without this software:

    \b
      ssh-keygen -Y verify -f allowed_signers -I NAME -n file -s FILE.flow.sig < FILE.flow
    """  # noqa: D301 - click reads the \b
    if (signing_key is None) == (ssh_key is None):
        raise click.UsageError("Sign with --signing-key FILE or with --ssh-key FILE")
    path = require_sealed_file(file)
    key = read_signing_key(signing_key)
    if key is not None:
        with writing(path), replacing(path) as new, as_before(path, new):
            add_signature(path, new, key)
        say(f"Signed {file} with the key {key.id}.")
    elif ssh_key is not None:
        target = path.with_name(f"{path.name}.sig")
        refuse_inputs(target, (path, ssh_key))
        if not is_replaceable(target):
            raise click.UsageError(f"{target} is no ordinary file, and cannot be replaced by one")
        with writing(ssh_key):
            text = read_small(ssh_key, _LARGEST_SSH_KEY)
        with writing(path), path.open("rb") as sealed:
            require_intact(sealed)
            signature = ssh_sign(sealed, text)
        with writing(target), replacing(target, mode=None) as new:
            new.write(signature)
        say(f"Wrote {target}.")

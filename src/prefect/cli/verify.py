"""`prefect verify`: whether every byte of a sealed flow is what its keys and signers made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prefect.cli.artifacts import name_of, require_sealed
from prefect.cli.info import show_holders
from prefect.cli.keys import keyring_to_open
from prefect.cli.options import Command, key_file_option, trusted_signer_option
from prefect.cli.output import say
from prefect.opening import require_built_so
from prefect.sealed import reading

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command, short_help="Authenticate every byte of a sealed flow.")
@click.argument("file", metavar="FILE.flow|FILE.pyz")
@key_file_option
@trusted_signer_option
def verify(file: str, key_file: tuple[Path, ...], trusted_signers: tuple[str, ...]) -> None:
    """Check every byte of FILE.flow with a key ("-" is standard input); nothing of it is executed.

    Of a FILE.pyz, what stands beside the sealed flow in the clear is compared with what the sealed flow says
    of it: Python, which runs that, cannot do so.

    The exit status is 0 where all of it is authentic, and signed by a trusted signer where such
    are named; else 2.
    """
    sealed = require_sealed(file)
    keyring = keyring_to_open(sealed, name_of(file), key_file, trusted_signers)
    outline, signed_by = reading.verify(
        sealed, keyring.to_open(), trusted_signers=keyring.trusted_signers
    )
    index = require_built_so(sealed, keyring)
    say(f"{name_of(file)} is authentic, every byte of it.")
    if index is not None:
        say(f"What runs it is as it was built: prefect {index.release}, for {index.runs_on}.")
    show_holders(outline, signed_by)

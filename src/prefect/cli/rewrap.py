"""`prefect rewrap`: change who can open a sealed flow, without building it again."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefect.cli.artifacts import require_sealed_file, writing
from prefect.cli.keys import keyring_to_open, read_encryption_keys, read_recipients
from prefect.cli.options import Command, key_file_option, recipient_option, trusted_signer_option
from prefect.cli.output import as_before, is_replaceable, refuse_inputs, require_directory, say
from prefect.files import replacing
from prefect.pyz.reading import ENDING
from prefect.sealed.rewrapping import rewrap as rewrap_into

if TYPE_CHECKING:
    from prefect.sealed.keys.parsing import WrappingKey


@click.command(cls=Command, short_help="Change who can open a sealed flow.")
@click.argument("file", metavar="FILE.flow|FILE.pyz")
@key_file_option
@click.option(
    "--to-key-file", "to_key_files", multiple=True, metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="File with an encryption key that is to open it. May be repeated.",
)  # fmt: skip
@recipient_option
@trusted_signer_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.flow",
    help="Write to this file; else FILE.flow itself is replaced.",
)  # fmt: skip
def rewrap(
    file: str,
    key_file: tuple[Path, ...],
    to_key_files: tuple[Path, ...],
    recipients: tuple[str, ...],
    trusted_signers: tuple[str, ...],
    output: Path | None,
) -> None:
    """Have FILE.flow open for the named keys and recipients, and for nobody else.

    Of a FILE.pyz, what stands beside the sealed flow stays, too; with -o FILE.flow, the sealed flow alone is
    written.

    A key that opens it now is needed. Its content and its signatures stay as they are, byte for
    byte. Whoever could open the former file may have kept its data key, which does not change: to
    shut somebody out for certain, build the flow again.
    """
    if not to_key_files and not recipients:
        raise click.UsageError("Say who is to open it: --to-key-file FILE or --recipient TEXT")
    to: list[WrappingKey] = [*read_encryption_keys(to_key_files), *read_recipients(recipients)]
    path = require_sealed_file(file)
    keyring = keyring_to_open(path, str(path), key_file, trusted_signers)
    target = output or path
    require_directory(target)
    refuse_inputs(target, (*key_file, *to_key_files))
    if not is_replaceable(target):
        raise click.UsageError(f"{target} is no ordinary file, and cannot be replaced by one")
    alone = target.suffix != ENDING  # out of a file that runs by itself, too
    if not alone and path.suffix != ENDING:
        raise click.UsageError(
            f"{path} is a sealed flow alone, and {target} would not run by itself: build it with -o {target}"
        )
    with (
        writing(target),
        replacing(target) as new,
        nullcontext() if alone else as_before(path, new),
    ):
        rewrap_into(path, new, keyring.to_open(), to, trusted_signers=keyring.trusted_signers)
    say(f"{target} opens for {', '.join(key.id for key in to)}.")

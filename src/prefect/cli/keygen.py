"""`prefect keygen`: a new encryption key."""

from __future__ import annotations

from pathlib import Path

import click

from prefect.cli.keys import KEY_VARIABLE, write_key_file
from prefect.packaging.keys import EncryptionKey


@click.command(short_help="Make an encryption key.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="prefect.key")
def keygen(file: Path) -> None:
    """Make a new encryption key in FILE (default: prefect.key), readable by you alone.

    An existing file is never overwritten. FILE "-" writes the key to standard output, for a
    secret store. Whoever has the key can read the flows that were sealed with it and make files
    that it opens: keep it apart from them.
    """
    key = EncryptionKey.generate()
    if str(file) == "-":
        click.echo(key.encode())
        return
    write_key_file(file, key.encode())
    click.echo(f"Wrote the key {key.id} to {file} (mode 0600).", err=True)
    click.echo(f"Use it with --key-file {file}, or as {KEY_VARIABLE}.", err=True)

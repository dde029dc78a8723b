"""Options for keys, which several subcommands have; reading them imports no cryptography."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.running.flow_directory import KEY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable


def _file_option(name: str, text: str, *, multiple: bool = False) -> Callable[..., Any]:
    path = click.Path(path_type=Path, exists=True, dir_okay=False)
    return click.option(name, type=path, multiple=multiple, metavar="FILE", help=text)


key_file_option = _file_option(
    "--key-file",
    "File with a key that opens it: an encryption key or an identity. May be repeated. "
    f"Without any, the variable {KEY_VARIABLE} is read.",
    multiple=True,
)
sealing_key_option = _file_option(
    "--key-file",
    "File with the encryption key that seals; of several, the first does. Without any, a sealed "
    f"flow takes the key in the variable {KEY_VARIABLE}.",
    multiple=True,
)
signing_key_option = _file_option("--signing-key", "File with your signing key.")
recipient_option = click.option(
    "--recipient", "recipients", multiple=True, metavar="TEXT|FILE.pub",
    help="A recipient, who may open the file too; it must be signed. May be repeated.",
)  # fmt: skip
trusted_signer_option = click.option(
    "--trusted-signer", "trusted_signers", multiple=True, metavar="TEXT|FILE.pub",
    help="Refuse what none of these signers has signed. May be repeated.",
)  # fmt: skip


def names_a_key(key_files: tuple[Path, ...]) -> bool:
    """Tell whether a key is named anywhere, without reading it: a pipe can be read but once."""
    return bool(key_files or os.environ.get(KEY_VARIABLE, "").strip())

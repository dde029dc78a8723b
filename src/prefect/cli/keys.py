"""Where the command takes its encryption key from, and where it puts a new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from prefect.errors import InvalidKeyError
from prefect.packaging.keys import KEY_BYTES

KEY_VARIABLE = "PREFECT_ENCRYPTION_KEY"
# A key is 44 characters; nobody means a larger file.
_LARGEST_KEY_FILE = 1024

key_file_option = click.option(
    "--key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"File that holds the encryption key; else the variable {KEY_VARIABLE} is read.",
)


def read_key(key_file: Path | None) -> bytes:
    """Return the encryption key as text, from the file or from the environment.

    Raises:
        InvalidKeyError: there is none.
        click.ClickException: the file cannot be read.
    """
    if key_file is not None:
        try:
            with key_file.open("rb") as file:
                found = file.read(_LARGEST_KEY_FILE)
                return found if len(found) == KEY_BYTES else found.strip()  # raw, or a line
        except OSError as error:
            raise click.FileError(str(key_file), error.strerror or str(error)) from error
    if key := os.environ.get(KEY_VARIABLE, "").strip():
        return key.encode()
    raise InvalidKeyError(
        f"There is no encryption key: give --key-file FILE or set {KEY_VARIABLE}. "
        "`prefect keygen FILE` makes a key"
    )


def write_key_file(path: Path, key: bytes) -> None:
    """Write a new file with mode 0600, complete or not at all, and never over another.

    Raises:
        click.ClickException: the file exists, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as part:
            part.write(key + b"\n")  # the file's mode is 0600 from the start
            part.flush()
            os.fsync(part.fileno())
            os.link(part.name, path)  # unlike a rename, a link refuses a name that is taken
    except FileExistsError:
        raise click.ClickException(
            f"{path} exists and is not overwritten: what it opens would be lost. Choose another "
            "name"
        ) from None
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error

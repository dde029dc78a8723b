"""What the command writes: files that replace nothing by accident, and text that is only text."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable


def write_output(output: Path, data: bytes, *, inputs: Iterable[Path | None] = ()) -> None:
    """Write a file, complete or not at all; "-" is standard output.

    A symbolic link is followed, and what is no ordinary file (a pipe, /dev/null) is written to.

    Raises:
        click.ClickException: it is one of the inputs, or cannot be written.
    """
    refuse_inputs(output, inputs)
    try:
        if str(output) == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return
        if output.exists() and not output.is_file():
            output.write_bytes(data)
            return
        target = output.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as part:
                part.write(data)
                part.flush()
                os.fsync(part.fileno())
                os.fchmod(part.fileno(), 0o666 & ~_umask())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise click.FileError(str(output), error.strerror or str(error)) from error


def refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is being read, whatever path leads to it.

    Raises:
        click.ClickException: the output is one of the inputs.
    """
    for path in inputs:
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise click.UsageError(f"{output} is what is being read, and is not overwritten")


def printable(text: str) -> str:
    """Return text in which only newlines control a terminal: an artifact's author is anybody."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

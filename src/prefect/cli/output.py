"""What the command writes: files that replace nothing by accident."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is being read, whatever path leads to it.

    Raises:
        click.ClickException: the output is one of the inputs.
    """
    for path in inputs:
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise click.UsageError(f"{output} is what is being read, and is not overwritten")


def is_replaceable(output: Path) -> bool:
    """Tell whether an output is a file, there or not yet, and no pipe, device or "-"."""
    return str(output) != "-" and (output.is_file() or not output.exists())


def write_plainly(output: Path, data: bytes) -> int:
    """Write to what cannot be replaced: standard output for "-", a pipe, a device."""
    if str(output) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(data)
    return len(data)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    if count < 1024:  # noqa: PLR2004
        return f"{count} bytes"
    if count < 1024**2:
        return f"{count / 1024:.1f} KiB"
    if count < 1024**3:
        return f"{count / 1024**2:.1f} MiB"
    return f"{count / 1024**3:.1f} GiB"

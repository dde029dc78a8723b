"""Standard input, which "-" names where something is read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from typing import BinaryIO

NAME = "-"


def standard_input() -> BinaryIO:
    """Return it, to be read.

    Raises:
        click.UsageError: it is closed, or a terminal, at which people would wait for nothing.
    """
    if sys.stdin is None:
        raise click.UsageError('"-" is standard input, and it is closed')
    if sys.stdin.isatty():
        raise click.UsageError('"-" is standard input: send something into it, as with < FILE')
    return sys.stdin.buffer

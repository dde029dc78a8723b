"""What the command writes: its standard output, and files that replace nothing by accident."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from prefect.printable import printable_lines
from prefect.running.stopping import abandon_output, end_without_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO


_WRITERS = ("click.utils", __name__)  # the modules that write to standard streams


@contextmanager
def ending_without_output() -> Iterator[None]:
    """End the command where its output cannot be written: with an error, or quietly.

    Quietly, as a success, where a reader has seen enough, such as `head`.
    """
    try:
        yield
    except OSError as error:
        if not _is_of_output(error):
            raise
        end_without_output(error)
    finally:
        # Else the interpreter fails at what is left when it flushes for the last time.
        try:
            if not sys.stdout.closed:
                sys.stdout.flush()
        except OSError:
            abandon_output(BrokenPipeError(), sys.stdout, sys.stderr)


def say(text: str, *, err: bool = False) -> None:
    """Print to people what may name files, flows and whatever else is somebody's."""
    click.echo(printable_lines(text), err=err)


def is_quiet() -> bool:
    """Tell whether the command was asked for nothing but warnings, errors and its outcome."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.params.get("quiet"))


def note(text: str) -> None:
    """Tell people, on standard error, what they need not know: not where the command is to be quiet."""
    if not is_quiet():
        say(text, err=True)


def _is_of_output(error: OSError) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") in _WRITERS


def refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is being read, whatever path leads to it.

    Raises:
        click.ClickException: the output is one of the inputs.
    """
    for path in inputs:
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise click.UsageError(f"{output} is what is being read, and is not overwritten")


def require_directory(*outputs: Path | None) -> None:
    """Refuse to write where there is no directory: a slip of the pen makes none.

    Raises:
        click.ClickException: an output's directory is not there.
    """
    for path in outputs:
        if path is not None and not path.parent.exists():
            raise click.UsageError(
                f"There is no directory {path.parent} for {path.name}: make it first, with mkdir -p, or "
                "name another one"
            )


def is_replaceable(output: Path) -> bool:
    """Tell whether an output is a file, there or not yet, and no pipe, device or "-"."""
    return str(output) != "-" and (output.is_file() or not output.exists())


@contextmanager
def as_before(old: Path, new: BinaryIO) -> Iterator[None]:
    """Have what is written as a sealed flow be within a file that runs by itself, if it was in one.

    What stands beside it stays byte for byte.
    """
    from prefect.pyz.reading import is_pyz  # noqa: PLC0415 - few commands write what they read
    from prefect.pyz.writing import around, packed_of  # noqa: PLC0415 - the same
    from prefect.sealed.source import opened_whole  # noqa: PLC0415 - the same

    with opened_whole(old) as source:
        clear = packed_of(source) if is_pyz(source) else None
    with nullcontext() if clear is None else around(new, clear):
        yield


def write_plainly(output: Path, data: bytes) -> int:
    """Write to what cannot be replaced: standard output for "-", a pipe, a device."""
    if str(output) == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(data)
    return len(data)

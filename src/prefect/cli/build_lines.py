"""What a build tells while it goes on: lines, and on a terminal a bar for each thing that takes a while."""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from prefect.cli.output import is_quiet
from prefect.printable import duration, printable, size
from prefect.steps import watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.progress.lines import Lines
    from prefect.steps import Step

_SHOWN_WITHOUT_TERMINAL = (
    "Pulling ",
    "Building ",
    "Looking ",
    "Installing ",
    "Locking ",
    "Layers: ",
    "Taking ",
    "Not looked into",
)
_WORTH_TELLING = 1.0
"""Seconds after which it is said how long a step took."""
_LEAST_TEXT, _LEAST_NARROW, _BAR, _TOLD = 24, 6, 16, 24
"""Columns."""
_MOST_STEPS = 8


@contextmanager
def build_lines(*, verbose: bool) -> Iterator[None]:
    """Show a build's progress on standard error: each line, or on a terminal what goes on, in place.

    Args:
        verbose: whether every line is written, also on a terminal.
    """
    logger = logging.getLogger("prefect.environments")
    handler = _Shown(verbose=verbose)
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if is_quiet() else logging.INFO)
    logger.propagate = False
    try:
        with nullcontext() if is_quiet() else watched(handler), handler.drawn():
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


class _Shown(logging.Handler):
    """Takes lines, from loggers, and steps."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__()
        self._verbose = verbose
        self._lines: Lines | None = None
        self._newest = ""
        self._steps: list[Step] = []
        self._changing = threading.Lock()

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Draw what goes on, if standard error is a terminal."""
        with ExitStack() as entered:
            if sys.stderr is not None and sys.stderr.isatty():
                from prefect.progress.lines import Lines, draws_on  # noqa: PLC0415 - for terminals

                if draws_on(sys.stderr):
                    self._lines = Lines(sys.stderr, self._draw)
                    entered.enter_context(self._lines)
            yield

    def emit(self, record: logging.LogRecord) -> None:
        line = printable(record.getMessage())  # of container engines, registries and packages
        if record.levelno >= logging.WARNING or self._verbose:
            self._write(line)
        elif self._lines is not None:
            self._newest = line
        elif line.startswith(_SHOWN_WITHOUT_TERMINAL):
            self._write(line)

    def begin(self, one: Step, /) -> None:
        """Take a step that begins."""
        with self._changing:
            self._steps.append(one)

    def end(self, one: Step, /) -> None:
        """Take a step that has ended; say how long it took, if it did."""
        with self._changing:
            self._steps.remove(one)
        if one.failed or one.seconds is None or one.seconds < _WORTH_TELLING:
            return

        amount = f", {_amount(one.done, one.unit)}" if one.done else ""
        self._write(printable(f"{one.text}: done in {duration(one.seconds)}{amount}"))

    def _write(self, line: str) -> None:
        if self._lines is not None:
            self._lines.write(line)
        else:
            click.echo(line, err=True)

    def _draw(self, width: int) -> list[str]:
        from prefect.progress.lines import fitted, spinner  # noqa: PLC0415 - for terminals

        with self._changing:
            steps = self._steps[:_MOST_STEPS]
        if not steps:
            return [fitted(self._newest, width)] if self._newest else []
        return [_drawn(one, width, spinner()) for one in steps]


def _drawn(one: Step, width: int, mark: str) -> str:
    """Return a step as a line: what it is, and where there is room a bar, how much of it, and how long it takes."""
    from prefect.progress.lines import (  # noqa: PLC0415 - for terminals
        bar,
        fitted,
        has_colour,
        padded,
    )

    seconds = f"{duration(time.monotonic() - one.began):>7}"
    if one.total:
        done = min(max(one.done, 0), one.total)  # of what is sent again, too
        whole = _amount(one.total, one.unit)
        part = _amount(done, one.unit)
        if part.split(" ")[1:] == whole.split(" ")[1:]:
            part = part.split(" ")[0]
        told = f"{part} of {whole}"
    else:
        done, told = 0, _amount(one.done, one.unit) if one.done > 0 else ""
    room = width - _TOLD - len(seconds) - _BAR - 6
    if room < _LEAST_TEXT:
        told = f"{told}  {seconds.strip()}"
        return fitted(
            f"{mark} {fitted(one.text, max(width - len(told) - 4, _LEAST_NARROW))}  {told}", width
        )
    drawn = bar(done / one.total, _BAR, colour=has_colour()) if one.total else " " * _BAR
    return f"{mark} {padded(one.text, room)}  {drawn}{told:>{_TOLD}}{seconds}"


def _amount(count: int, unit: str) -> str:
    return size(count) if unit == "bytes" else f"{count:,} {unit}"

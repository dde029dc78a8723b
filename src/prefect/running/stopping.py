"""How a program ends: its exit status, and SIGTERM and Ctrl-C, which unwind a run."""

from __future__ import annotations

import io
import signal
import sys
from contextlib import suppress
from typing import NoReturn, TextIO, cast

SUCCEEDED, FLOW_FAILED, BAD_INPUT = 0, 1, 2  # exit statuses of the command and of the worker


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP has come. Ends a run as Ctrl-C does, whose subclass it therefore is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def unwind_on_signals() -> None:
    """Have SIGTERM and SIGHUP raise `Terminated`, so that nothing that was started stays behind.

    Process 1 of a container has no default action for signals: without this, stopping it would
    mean to wait and then to kill.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):  # not in the main thread: then the caller decides
            signal.signal(number, _terminate)


def exit_status(stop: KeyboardInterrupt) -> int:
    """Return the exit status that shells give to a program that a signal has ended."""
    return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


def provide_streams() -> None:
    """Have standard streams that take any text.

    Something is put in the place of those that the caller has closed. What a stream's encoding lacks
    is written as an escape: no run fails because of a name.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, cast("TextIO", open("/dev/null", "w")))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _terminate(number: int, _frame: object) -> NoReturn:
    raise Terminated(number)

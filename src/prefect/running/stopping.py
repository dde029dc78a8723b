"""How a program ends: its exit status, and SIGTERM and Ctrl-C, which unwind a run."""

from __future__ import annotations

import _thread
import io
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

from prefect.engine.interruption import MOST_PUT_OFF, SOON, is_interruptible

if TYPE_CHECKING:
    from types import FrameType

SUCCEEDED, FLOW_FAILED, BAD_INPUT = 0, 1, 2  # exit statuses of the command and of the worker


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP has come. Ends a run as Ctrl-C does, whose subclass it therefore is."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def unwind_on_signals() -> None:
    """Have SIGTERM and SIGHUP raise `Terminated`, so that nothing that was started stays behind.

    Process 1 of a container has no default action for signals: without this, stopping it would
    mean to wait and then to kill. These and Ctrl-C wait until no lock is just being taken or given
    back: what they unwind needs it.
    """
    stop = _Stop()
    with suppress(ValueError):  # not in the main thread: then the caller decides
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGHUP, stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored
            signal.signal(signal.SIGINT, stop)


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


class _Stop:
    """Ends what the main thread does."""

    def __init__(self) -> None:
        self._put_off = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not is_interruptible(frame) and self._put_off < MOST_PUT_OFF:
            self._put_off += 1
            # A thread of this kind itself takes no lock.
            _thread.start_new_thread(_send_soon, (_thread.get_ident(), number))
            return
        self._put_off = 0
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _send_soon(thread: int, number: int) -> None:
    time.sleep(SOON)
    signal.pthread_kill(thread, number)

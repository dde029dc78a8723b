"""How a program ends: its exit status, and SIGTERM and Ctrl-C, which unwind a run."""

from __future__ import annotations

import _thread
import io
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from prefect.engine.interruption import MOST_PUT_OFF, SOON, is_interruptible
from prefect.streams import StandIn

if TYPE_CHECKING:
    from types import FrameType

_STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_UNSEEN_SECONDS = 0.05  # after which a signal that came counts as not seen by the main thread
_MOST_WAKENED = 100
_MOST_AT_ONCE = 64
SUCCEEDED, FLOW_FAILED, BAD_INPUT = 0, 1, 2  # exit statuses of the command and of the worker
SUCCESS = b"Success\n"
"""What a worker reports whose flow has succeeded, beside its exit status."""


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
        _have_it_seen()
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGHUP, stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored
            signal.signal(signal.SIGINT, stop)


def exit_status(stop: KeyboardInterrupt) -> int:
    """Return the exit status that shells give to a program that a signal has ended."""
    return 128 + (stop.number if isinstance(stop, Terminated) else signal.SIGINT)


def provide_streams() -> None:
    """Have standard streams that take any text.

    Something is put in the place of those that the caller has closed: for standard output, what says
    so when it is written to. One that a task has closed is opened anew: its file is open still. What
    a stream's encoding lacks is written as an escape: no run fails because of a name.
    """
    for name, flags in (("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        stream = getattr(sys, name)
        if stream is None:
            number = os.open(os.devnull, flags)
            opened = open(number, "w", errors="backslashreplace")  # noqa: PTH123, SIM115
            setattr(sys, name, cast("TextIO", opened))
        elif getattr(stream, "closed", False):
            if isinstance(stream, StandIn):
                stream.stream = reopened(name, stream.stream)
            else:
                setattr(sys, name, reopened(name, stream))
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def reopened(name: str, closed: TextIO) -> TextIO:
    """Return another standard stream in the place of one that was closed."""
    number = {"stdout": 1, "stderr": 2}[name]
    encoding = getattr(closed, "encoding", None)
    try:
        return open(number, "w", encoding=encoding, errors="backslashreplace", closefd=False)
    except OSError:  # its file as well
        return open(os.devnull, "w")  # noqa: PTH123


_lost: list[OSError] = []


def abandon_output(error: OSError, out: TextIO, err: TextIO) -> None:
    """Say once that a stream cannot be written, and go on without it.

    Nothing is said of a reader that has seen enough, such as `head`.
    """
    with suppress(OSError):  # it is no file: a test's, for example
        number = out.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    if isinstance(error, BrokenPipeError):
        return
    _lost.append(error)
    with suppress(OSError, ValueError):  # standard error may have gone the same way
        message = f"Error: nothing more can be written to standard output: {error}"
        print(message, file=err, flush=True)


def end_without_output(error: OSError) -> NoReturn:
    """End a command whose output cannot be written; as a success where its reader has seen enough."""
    abandon_output(error, sys.stdout, sys.stderr)
    sys.exit(SUCCEEDED if isinstance(error, BrokenPipeError) else BAD_INPUT)


def status_of_run(*, successful: bool) -> int:
    """Return the exit status of a run that has ended; who lost what it told has to know that."""
    if not successful:
        return FLOW_FAILED
    return BAD_INPUT if _lost else SUCCEEDED


class _Stop:
    """Ends what the main thread does."""

    calls = 0
    """How often any of them was called."""

    def __init__(self) -> None:
        self._put_off = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        _Stop.calls += 1
        if not is_interruptible(frame) and self._put_off < MOST_PUT_OFF:
            self._put_off += 1
            # A thread of this kind itself takes no lock.
            _thread.start_new_thread(_send_soon, (_thread.get_ident(), number))
            return
        self._put_off = 0
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _have_it_seen() -> None:
    """Have the main thread see that a signal has come, whatever it waits for.

    It is but marked as having come when another thread gets it, or when the main thread gets it just
    before it begins to wait; Python's handler runs when that is over. A signal that means nothing ends
    the wait.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # Another one is ours already, or somebody else's, who sees to it.
    if (other := signal.set_wakeup_fd(writing, warn_on_full_buffer=False)) != -1:
        signal.set_wakeup_fd(other)
        os.close(reading)
        os.close(writing)
        return
    signal.signal(signal.SIGURG, lambda *_: None)
    _thread.start_new_thread(_wake, (_thread.get_ident(), reading))


def _wake(main: int, reading: int) -> None:
    seen = _Stop.calls
    while True:
        if not {*os.read(reading, _MOST_AT_ONCE)} & _STOPPING:
            continue
        for _ in range(_MOST_WAKENED):
            time.sleep(_UNSEEN_SECONDS)
            if _Stop.calls != seen:
                break
            signal.pthread_kill(main, signal.SIGURG)
        seen = _Stop.calls


def _send_soon(thread: int, number: int) -> None:
    time.sleep(SOON)
    signal.pthread_kill(thread, number)

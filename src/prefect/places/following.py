"""A started worker, followed to its end: its lines as they come, and the signals that end it."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from typing import TYPE_CHECKING

from prefect.errors import ContainerEngineError
from prefect.running.stopping import Terminated

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.places.protocol import Started
    from prefect.running.output import StreamName

    _Lines = queue.Queue[tuple[str, StreamName] | BaseException | None]

_HEARD = 1.0
"""Seconds after which a wait begins anew: one that began when a signal had just come is not ended by that."""
_STOP_SECONDS = 10.0  # for a worker to unwind, as long as `docker stop` waits
_ERROR = 2


def follow(started: Started, tell: Callable[[str, StreamName], object]) -> None:
    """Tell each line that a worker writes, until it ends.

    On Ctrl-C or SIGTERM the worker gets that signal, and goes on to tell how it ends: for ten seconds
    at most. A second signal is not waited for.

    Args:
        tell: called with each line, and the name of the stream that it was written to.

    Raises:
        KeyboardInterrupt: such a signal came; all that the worker wrote was told before.
        ContainerEngineError: what it writes cannot be had any more.
    """
    lines = _lines(started)
    try:
        _tell_all(lines, tell)
    except KeyboardInterrupt as caught:  # wherever it came, also while a line is told
        started.stop(caught.number if isinstance(caught, Terminated) else signal.SIGINT)
        with contextlib.suppress(ContainerEngineError, OSError):
            _tell_all(lines, tell, _STOP_SECONDS)
        raise


def _tell_all(
    lines: _Lines, tell: Callable[[str, StreamName], object], seconds: float | None = None
) -> None:
    """Tell lines until there are no more, or until so many seconds have passed."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        try:
            found = lines.get(timeout=_HEARD if until is None else max(until - time.monotonic(), 0))
        except queue.Empty:
            if until is None:
                continue
            return
        if found is None:
            return
        if isinstance(found, BaseException):
            raise found
        tell(*found)


def _lines(started: Started) -> _Lines:
    # Read by a thread of its own: a signal interrupts who waits, and not what is being read.
    # A simple queue waits for ever where the handler of a signal takes longer than was left.
    found: _Lines = queue.Queue()

    def read() -> None:
        # Pieces of a line of each stream: it may be long, and is put together once.
        begun: dict[int, list[bytes]] = {1: [], 2: []}

        def put(number: int) -> None:
            text = b"".join(begun[number]).decode(errors="replace")
            found.put((text, "stderr" if number == _ERROR else "stdout"))

        try:
            for number, data in started.logs():
                first, *lines = data.split(b"\n")
                begun[number].append(first)
                for line in lines:
                    put(number)
                    begun[number] = [line]
            for number, pieces in begun.items():
                if any(pieces):
                    put(number)
            found.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            found.put(error)

    threading.Thread(target=read, name="prefect-logs", daemon=True).start()
    return found

"""A started worker, followed to its end: its lines as they come, and the signals that end it."""

from __future__ import annotations

import queue
import signal
import threading
import time
from typing import TYPE_CHECKING

from prefect.running.stopping import Terminated

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.places.protocol import Started
    from prefect.running.output import StreamName

_HEARD = 1.0
"""Seconds after which a wait begins anew."""
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
    stop: KeyboardInterrupt | None = None
    deadline: float | None = None
    while True:
        try:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            found = lines.get(timeout=left)
            if found is None:
                break
            if isinstance(found, BaseException):
                if stop is not None:
                    break
                raise found
            tell(*found)
        except queue.Empty:
            break
        except KeyboardInterrupt as caught:  # wherever it came, also while a line is told
            if stop is not None:
                raise
            stop = caught
            deadline = time.monotonic() + _STOP_SECONDS
            started.stop(caught.number if isinstance(caught, Terminated) else signal.SIGINT)
    if stop is not None:
        raise stop


def _lines(started: Started) -> queue.SimpleQueue[tuple[str, StreamName] | BaseException | None]:
    # Read by a thread of its own: a signal interrupts who waits, and not what is being read.
    found: queue.SimpleQueue[tuple[str, StreamName] | BaseException | None] = queue.SimpleQueue()

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

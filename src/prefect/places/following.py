"""A started worker, followed to its end: its lines as they come, and the signals that end it."""

from __future__ import annotations

import queue
import signal
import threading
import time
from typing import TYPE_CHECKING

from prefect.running.stopping import Terminated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.places.protocol import Started

_STOP_SECONDS = 10.0  # for a worker to unwind, as long as `docker stop` waits


def lines_of(started: Started) -> Iterator[str]:
    """Yield the lines that a worker writes, until it ends.

    On Ctrl-C or SIGTERM the worker gets that signal, and goes on to tell how it ends: for ten seconds
    at most. A second signal is not waited for.

    Raises:
        KeyboardInterrupt: such a signal came; all that the worker wrote was yielded before.
        ContainerEngineError: what it writes cannot be had any more.
    """
    chunks = _chunks(started)
    rest = b""
    stop: KeyboardInterrupt | None = None
    deadline: float | None = None
    while True:
        try:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            data = chunks.get(timeout=left)
        except queue.Empty:
            break
        except KeyboardInterrupt as caught:
            if stop is not None:
                raise
            stop = caught
            deadline = time.monotonic() + _STOP_SECONDS
            started.stop(caught.number if isinstance(caught, Terminated) else signal.SIGINT)
            continue
        if isinstance(data, BaseException):
            if stop is not None:
                break
            raise data
        if data is None:
            break
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")
    if stop is not None:
        raise stop


def _chunks(started: Started) -> queue.SimpleQueue[bytes | BaseException | None]:
    # Read by a thread of its own: a signal interrupts who waits, and not what is being read.
    found: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            for data in started.logs():
                found.put(data)
            found.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            found.put(error)

    threading.Thread(target=read, name="prefect-logs", daemon=True).start()
    return found

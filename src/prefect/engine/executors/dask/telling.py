"""What jobs on a worker of a Dask cluster tell meanwhile: that they run, what they log, and what they come to."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

from prefect.engine.executors.dask.kept import dumps
from prefect.engine.executors.travelling import packed_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MOMENT = 0.01
"""Seconds for which the beginning of a job, or what it logs, is kept to be sent together with more."""
AFTER = 0.001
"""Seconds for which the end of a job is kept: what Dask tells of it goes first. A worker sends each two
milliseconds, and what waits for the job's value would begin so much later."""


def _token() -> str:
    return f"{os.getpid()}-{uuid4().hex}"


_process = _token()


def process() -> str:
    """Identify this process among all of all machines: containers share numbers."""
    global _process  # noqa: PLW0603  # anew after a fork
    if not _process.startswith(f"{os.getpid()}-"):
        _process = _token()
    return _process


class Outbox:
    """What a job tells: events of several are sent together.

    What can wait for a moment does so: most often the end of the job comes then, and takes it along.
    """

    __slots__ = ("_number", "_topic", "_worker")

    _waiting: dict[tuple[int, str], list[Any]] = {}  # noqa: RUF012  # of all
    _expected: set[tuple[int, str]] = set()  # noqa: RUF012  # what is going to be sent soon
    _later: set[tuple[int, str]] = set()  # noqa: RUF012  # what is going to be sent in a moment
    _lock = threading.Lock()

    def __init__(self, topic: str, number: int, worker: Any) -> None:
        self._topic = topic
        self._number = number
        self._worker = worker

    @property
    def address(self) -> str:
        """The worker's."""
        return str(self._worker.address)

    def tell(self, kind: str, *data: Any, within: float = AFTER) -> None:
        """Send an event.

        Args:
            kind: of it.
            data: what there is to say.
            within: seconds for which it may be kept; what can wait may be for a moment.
        """
        key = (id(self._worker), self._topic)
        can_wait = kind in {"running", "log"}
        with self._lock:
            waiting = self._waiting.setdefault(key, [])
            waiting.append((self._number, kind, *data))
            if within and (key in self._expected or (can_wait and key in self._later)):
                return
            (self._later if can_wait else self._expected).add(key)
        loop = self._worker.loop
        if can_wait:
            loop.add_callback(loop.call_later, MOMENT, self._send, key, self._later)
        elif within:
            loop.add_callback(loop.call_later, within, self._send, key, self._expected)
        else:
            loop.add_callback(self._send, key, self._expected)

    def _send(self, key: tuple[int, str], expecting: set[tuple[int, str]]) -> None:
        with self._lock:
            waiting = self._waiting.pop(key, [])
            expecting.discard(key)
        if waiting:
            self._worker.log_event(self._topic, [self._worker.address, waiting])


_current: ContextVar[Outbox | None] = ContextVar("prefect.outbox", default=None)


class _Forwarder(logging.Handler):
    """Tells what the job of this thread logs, to be handled where the flow runs."""

    def emit(self, record: logging.LogRecord) -> None:
        outbox = _current.get()
        if outbox is None:
            return
        outbox.tell("log", packed_record(record, dumps))


_forwarder = _Forwarder()


@contextmanager
def forwarded_logs(outbox: Outbox, level: int, home: str) -> Iterator[None]:
    """Have log lines of a job handled where the flow runs, if that is another process."""
    if home == process():
        yield
        return
    logging.getLogger("prefect").setLevel(level)
    root = logging.getLogger()
    if _forwarder not in root.handlers:
        root.addHandler(_forwarder)
    token = _current.set(outbox)
    try:
        yield
    finally:
        _current.reset(token)

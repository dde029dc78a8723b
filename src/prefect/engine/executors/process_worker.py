"""The program of a worker process of `ProcessExecutor`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection

from prefect.core.state import Failed, Success
from prefect.core.tracebacks import describe
from prefect.engine.executors.travelling import (
    is_large,
    packed,
    packed_record,
    packed_state,
    received,
    send,
    unpacked,
)
from prefect.engine.job import Job, run_job
from prefect.errors import RemoteTaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State

_GRACE = 5.0
"""Seconds that a task has when the run is gone."""


class _Forwarder(logging.Handler):
    """Sends what is logged here to the process that runs the flow, as it is logged."""

    def __init__(self, connection: Connection, sending: threading.Lock) -> None:
        super().__init__()
        self._connection = connection
        self._sending = sending

    def emit(self, record: logging.LogRecord) -> None:
        data = packed_record(record, packed)
        with self._sending:
            send(self._connection, b"log", data)


def main(number: int, watched: int) -> None:
    """Do the jobs that come in until there are no more.

    Args:
        number: the descriptor of the connection to the process that runs the flow.
        watched: the descriptor of a pipe that ends when that process does.
    """
    threading.Thread(target=_end_with, args=(watched,), name="prefect-watch", daemon=True).start()
    connection, sending = Connection(number), threading.Lock()
    tasks: dict[int, Any] = {}
    context: dict[str, Any] = {}
    try:
        while True:
            kind, *parts = received(connection)
            if kind == b"run":
                context, levels, sys.argv = unpacked(parts[0])
                _forward_logs(connection, sending, levels)
            elif kind == b"task":
                tasks[unpacked(parts[0])] = parts[1]
            else:
                answer = _answer(tasks, context, parts[0])
                for stream in (sys.stdout, sys.stderr):
                    with suppress(ValueError, OSError, AttributeError):  # closed, by a task
                        stream.flush()
                with sending:
                    send(connection, *answer)
    except (EOFError, OSError, KeyboardInterrupt):
        pass  # the run is over


def _answer(
    tasks: dict[int, Any], context: dict[str, Any], data: Any
) -> tuple[bytes, list[Any], list[Any]]:
    try:
        key, slug, map_index, inputs, run_count, retrying = unpacked(data)
        if isinstance(tasks[key], list):
            tasks[key] = unpacked(tasks[key])
    except Exception as error:  # noqa: BLE001  # anything that an object's unpickling raises
        message = f"a worker process cannot load the task or its inputs: {describe(error)}"
        return b"state", packed(Failed(message, RemoteTaskError(message))), []
    try:
        state = run_job(Job(tasks[key], slug, map_index, inputs, context, run_count, retrying))
    except KeyboardInterrupt as error:
        return b"raised", packed(error), []
    return b"state", *packed_state(state, _parts, _loaded)


def _parts(state: State) -> tuple[list[Any], list[Any]]:
    """Pickle a state, and its value by itself if that is large."""
    if type(state) is Success and is_large(value := packed(state.result)):
        state.result = None
        return packed(state), value
    return packed(state), []


def _loaded(parts: tuple[list[Any], list[Any]]) -> State:
    state: State = unpacked(parts[0])
    return state


def _forward_logs(connection: Connection, sending: threading.Lock, levels: dict[str, int]) -> None:
    logging.getLogger().addHandler(_Forwarder(connection, sending))
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _end_with(watched: int) -> None:
    """End this process, and what its task has started, when the one that runs the flow has ended."""
    while os.read(watched, 1):
        pass
    if sys.is_finalizing():
        return
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(_GRACE)
    os.killpg(0, signal.SIGKILL)

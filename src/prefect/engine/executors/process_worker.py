"""The program of a worker process of `ProcessExecutor`."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from contextvars import copy_context
from queue import SimpleQueue
from socket import socket

from prefect.core.context import values
from prefect.core.state import Failed, State, Success
from prefect.core.tracebacks import describe
from prefect.engine import timeouts
from prefect.engine.executors.brought import bring
from prefect.engine.executors.messages import Receiver, Sender
from prefect.engine.executors.process_lines import LineSender
from prefect.engine.executors.travelling import (
    is_large,
    packed,
    packed_plainly,
    packed_record,
    packed_state,
    unpacked,
)
from prefect.engine.job import Awaiting, Job, begin_job, run_job
from prefect.engine.spans import spanned
from prefect.errors import RemoteTaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

    from prefect.engine.awaiting import EventLoop
    from prefect.engine.executors.messages import Message

_GRACE = 5.0
"""Seconds that a task has when the run is gone."""
_MOST_OPEN = 1 << 16
"""Descriptors that may be open."""
_SOON = 0.5
"""Seconds that what it has started has when its process has ended then."""


class _Forwarder(logging.Handler):
    """Sends what is logged here to the process that runs the flow, as it is logged."""

    def __init__(self, send: Callable[[list[Any]], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        data = packed_record(record, packed_plainly)
        with suppress(OSError):  # the run is over
            self._send(data)


class _Worker:
    """What a worker process has been sent: plain jobs wait for the main thread, async ones do not."""

    def __init__(self, connection: socket, lines: int) -> None:
        self._connection = connection
        self._place = os.fstat(connection.fileno())
        self._receiver = Receiver(connection)
        self._sender = Sender(connection)
        self._lines = LineSender(lines)  # of processes that a task has forked
        self._tasks: dict[int, Any] = {}
        self._context: Any = {}  # as it came, until the first job is loaded
        self._plain: SimpleQueue[tuple[int, list[Any]] | None] = SimpleQueue()
        self._loop: EventLoop | None = None
        self._timed: int | None = None  # the job whose timeout is told of
        self._is_forked = False  # whether this is a process that a task has forked

    def receive(self) -> None:
        """Take what comes, in a thread of its own, until there is no more.

        It waits for nothing else: while the process that runs the flow sends, it does not read.
        """
        try:
            with suppress(EOFError, OSError):
                while True:
                    for message in self._receiver.messages():
                        self._take(message)
        finally:  # whatever ended it: or this process would be waited for without an end
            self._plain.put(None)

    def _take(self, message: Message) -> None:
        """Take a message. No code of users runs here: it might wait, or raise."""
        kind, number, parts = message
        if kind == b"modules":
            bring(unpacked(parts[0]))
        elif kind == b"run":
            levels, sys.argv = unpacked(parts[0])
            self._context = parts[1]
            _forward_logs(self._log, levels)
        elif kind == b"task":
            self._tasks[number] = parts[0]
        elif kind == b"await":
            self._await(number, parts[0])
        else:
            self._plain.put((number, parts[0]))

    def work(self) -> None:
        """Do plain jobs, one after the other, until there are no more."""
        while (sent := self._plain.get()) is not None:
            number, data = sent
            job = self.loaded(data)
            if isinstance(job, Job) and job.task.timeout is not None:
                self._timed = number
            try:
                with spanned(job):
                    found: State | BaseException = run_job(job) if isinstance(job, Job) else job
                if isinstance(job, Job) and job.keeping is not None and isinstance(found, State):
                    job.keeping.leave(found)
            except KeyboardInterrupt as error:
                found = error
            self._timed = None
            self._answer(number, found)
            del sent, data, job, found

    @contextmanager
    def telling(self, _: float) -> Iterator[None]:
        """Tell when a task's timeout begins to count, and when it does no more: what is before and after may take long.

        Timeouts of a run within the task are its own affair.
        """
        number, self._timed = self._timed, None
        if number is None:
            yield
            return
        try:
            self._tell(b"timed", number)
            yield
        finally:
            self._tell(b"untimed", number)
            self._timed = number

    def _tell(self, kind: bytes, number: int) -> None:
        if self._is_forked:
            return
        with suppress(OSError):  # the run is over, or the task has closed what it did not open
            self._sender.send(kind, number)

    def _log(self, data: list[Any]) -> None:
        """Send what is logged, and when, in microseconds."""
        moment = time.monotonic_ns() // 1000
        if self._is_forked:
            self._lines.send(moment, *data)
        else:
            self._sender.send(b"log", moment, data)

    def be_forked(self) -> None:
        """Note that this is a process which a task has forked: it may log, and has no jobs.

        It does not hold the connection open, whose end tells that the worker has ended.
        """
        self._is_forked = True
        number = self._connection.detach()
        with suppress(OSError):  # a task has closed it, and may have something else there
            if os.path.samestat(os.fstat(number), self._place):
                os.close(number)

    def stop(self) -> None:
        """Cancel what is awaited, and give it time for its end."""
        if self._loop is not None:
            self._loop.stop()

    def _await(self, number: int, data: list[Any]) -> None:
        """Have a job of an async task done on the event loop of this process."""
        if self._loop is None:
            from prefect.engine.awaiting import EventLoop  # noqa: PLC0415  # few tasks are async

            self._loop = EventLoop(self._answer)
        self._loop.add(number, _Sent(self.loaded, data))
        self._loop.wake()

    def loaded(self, data: list[Any]) -> Job | State:
        """Load a job; return a failure if that cannot be."""
        what = "the parameters of the run, or its context"
        try:
            if isinstance(self._context, list):
                self._context = unpacked(self._context)
            what = "the task or its inputs"
            key, slug, map_index, inputs, run_count, retrying, keeping = unpacked(data)
            if isinstance(self._tasks[key], list):
                self._tasks[key] = unpacked(self._tasks[key])
        except Exception as error:  # noqa: BLE001  # anything that an object's unpickling raises
            message = f"a worker process cannot load {what}: {describe(error)}"
            return Failed(message, RemoteTaskError(message))
        task = self._tasks[key]
        job = Job(task, slug, map_index, inputs, self._context, run_count, retrying)
        job.keeping = keeping
        return job

    def _answer(self, number: int, found: State | BaseException) -> None:
        """Send what a job has come to, after what it has printed."""
        if self._is_forked:  # within an async task
            _leave(found)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed, by a task, or of its own making
                stream.flush()
        if isinstance(found, BaseException):
            kind, parts = b"raised", _raised(found)
        else:
            kind, parts = b"state", packed_state(found, _parts, _loaded)
        try:
            self._sender.send(kind, number, *parts)
        except OSError:  # the run is over, or the task has closed what it did not open
            self._plain.put(None)  # whoever waits for the answer is told by the end of this process


class _Sent:
    """A job of an async task as it came, which the event loop loads."""

    def __init__(self, load: Callable[[list[Any]], Job | State], data: list[Any]) -> None:
        self.context = copy_context()
        self._load = load
        self._data = data

    async def state(self) -> State:
        """Do it, and return what the task has come to."""
        job = self._load(self._data)
        if not isinstance(job, Job):
            return job
        with spanned(job):
            begun = begin_job(job)
            if isinstance(begun, Awaiting):
                # In the context of this alone; it may be a later pass than was sent.
                values.set(begun.job)
                begun = await begun.state()
        if job.keeping is not None:
            job.keeping.leave(begun)
        return begun

    def close(self) -> None:
        """Forget about it: there is nothing to await."""


def main(number: int, watched: int, lines: int) -> None:
    """Do the jobs that come in until there are no more.

    Args:
        number: the descriptor of the connection to the process that runs the flow.
        watched: the descriptor of a pipe that ends when that process does.
        lines: the descriptor of a pipe for what processes log that tasks have forked.
    """
    for each in (number, watched, lines):
        os.set_inheritable(each, False)  # or programs that a task starts would hold them open
    is_over = threading.Event()
    atexit.register(_end_others, is_over)
    threading.Thread(
        target=_end_with, args=(watched, is_over), name="prefect-watch", daemon=True
    ).start()
    worker = _Worker(socket(fileno=number), lines)
    timeouts.around_call = worker.telling
    os.register_at_fork(after_in_child=worker.be_forked)
    threading.Thread(target=worker.receive, name="prefect-receive", daemon=True).start()
    try:
        # Held back until now, and from the other threads for good: it is for this one.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        worker.work()
    except KeyboardInterrupt:
        pass  # the run is over
    finally:
        worker.stop()


def _leave(found: State | BaseException) -> NoReturn:
    """End a process that a task has forked and that has come out of the task: it is the other one that answers."""
    held = found if isinstance(found, BaseException) else found.held
    status = 0 if isinstance(found, Success) else 1
    if isinstance(held, SystemExit):
        status = held.code if isinstance(held.code, int) else int(held.code is not None)
    elif isinstance(held, BaseException):
        traceback.print_exception(held)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # closed, by a task, or of its own making
            stream.flush()
    os._exit(status)


def _parts(state: State) -> tuple[list[Any], list[Any]]:
    """Pickle a state, and its value by itself if that is large."""
    if type(state) is Success and is_large(value := packed(state.result)):
        state.result = None
        return packed(state), value
    return packed(state), []


def _raised(error: BaseException) -> tuple[list[Any], list[Any]]:
    return packed(error), []


def _loaded(parts: tuple[list[Any], list[Any]]) -> State:
    state: State = unpacked(parts[0])
    return state


def _forward_logs(send: Callable[[list[Any]], None], levels: dict[str, int]) -> None:
    logging.getLogger().addHandler(_Forwarder(send))
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _end_with(watched: int, is_over: threading.Event) -> None:
    """End this process, and what its task has started, when the one that runs the flow has ended."""
    while os.read(watched, 1):
        pass
    if sys.is_finalizing():
        return
    is_over.set()
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(_GRACE)
    _end_all()


def _end_others(is_over: threading.Event) -> None:
    """Leave nothing behind where this process has ended in time, but nobody is there to see to the rest."""
    if is_over.is_set():
        _end_all()


def _end_all() -> None:
    """End this process, and soon after what tasks have started: a tracker of shared memory has to release it."""
    process, group = os.getpid(), os.getpgrp()
    try:
        if os.fork():
            os.kill(process, signal.SIGKILL)
        os.setpgid(0, 0)
        os.closerange(0, _MOST_OPEN)
        until = time.monotonic() + _SOON
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.01)
    finally:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)
        os._exit(0)

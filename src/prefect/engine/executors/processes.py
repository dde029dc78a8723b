"""Runs tasks in processes of this machine, each with an interpreter of its own."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import count as count_from
from math import inf
from multiprocessing.connection import wait
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from threading import Thread

from prefect.core.check import count
from prefect.core.state import Failed, TimedOut
from prefect.core.tracebacks import describe
from prefect.engine.executors.base import DETACHED, Executor, Session
from prefect.engine.executors.brought import noting, sources_of
from prefect.engine.executors.here import done_here
from prefect.engine.executors.messages import Outbox, Receiver
from prefect.engine.executors.travelling import Packed, arrived, for_workers, packed, unpacked
from prefect.engine.job import after_loss, is_async
from prefect.errors import RemoteTaskError, TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO, Any, TextIO

    from prefect.core.state import State
    from prefect.engine.executors.messages import Message
    from prefect.engine.job import Job

_GRACE = 5.0
"""Seconds that a task which is interrupted has for its `finally` blocks."""
_OVERDUE = 5.0
"""Seconds after a task's timeout in which its process is to say that it took place; then it is ended."""
_STARTING = 60.0
"""Seconds more in which it is to begin: it may be starting, and has imports to do and inputs to load."""
_MUCH = 100
"""How many async tasks a process awaits before another is started for more."""
_LAST_WORDS = 0.5
"""Seconds that are waited for the rest of the output of a process that has ended."""
_PAUSE = 0.05
"""Seconds after which one looks whether a process has ended whose connection has not."""
_LONGEST_LINE = 1 << 20
"""Bytes that are kept of a line that has not ended."""
_CONTEXT = "the parameters of the run, or its context, cannot be pickled"
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; from prefect.engine.executors import process_worker; "
    "process_worker.main(int(sys.argv[1]), int(sys.argv[2]))"
)


class ProcessExecutor(Executor):
    """Several tasks at a time, for those that compute: each process has its own interpreter lock.

    Processes start as they are needed, once a run, and end with it. They are made anew rather than
    forked, which is safe with threads, and without importing the script again: it needs no
    `if __name__ == "__main__"`. Tasks, inputs and results are pickled; a task is sent once to each
    process, and large buffers (arrays, frames) are not copied into a pickle. What a task changes in its
    inputs or in globals stays in its process. What it prints and logs comes out here.

    A process that dies, for want of memory for example, fails its task, which is tried again as often
    as `max_retries` says; another process takes its place.

    Args:
        max_workers: how many; by default one for each CPU that this process may use.

    Raises:
        TypeError, ValueError: it is not a number from 1.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and count("max_workers", max_workers) < 1:
            raise ValueError("max_workers must be at least 1")
        self.max_workers = max_workers or _usable_cpus()
        self._chosen = max_workers is not None

    def start(self) -> Session:
        """Return a session; it starts processes as they are needed."""
        return _ProcessSession(self.max_workers)

    def text(self) -> str:
        """Return its text form, without a number where none was given: machines differ."""
        return f"processes:{self.max_workers}" if self._chosen else "processes"

    def __repr__(self) -> str:
        return f"ProcessExecutor(max_workers={self.max_workers})"


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A process, with what it has been sent and works on."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A pipe that ends when this process does, in whatever way: the worker watches it.
            watched, self._held = os.pipe()
            try:
                self.process = _started(theirs.fileno(), watched)
            except BaseException:
                ours.close()
                os.close(self._held)
                raise
            finally:
                os.close(watched)
        self.connection = ours
        self.outbox, self.receiver = Outbox(ours), Receiver(ours)
        self.tasks: set[int] = set()
        self.modules: set[str] = set()
        self.jobs: dict[int, tuple[Any, Job]] = {}
        self.plain: int | None = None  # which of them has its main thread
        self.due: float | None = None  # when that is to have begun, or to have ended
        self.is_timed = False  # whether its timeout runs
        self.said = self.heard = (
            0.0  # when it made the line that was last logged, and when that was
        )
        self._writers = [
            Thread(target=_pass_on, args=(pipe, name), name="prefect-output", daemon=True)
            for pipe, name in ((self.process.stdout, "stdout"), (self.process.stderr, "stderr"))
        ]
        for writer in self._writers:
            writer.start()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the task."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def rest(self) -> list[Message]:
        """Return what the process, which has ended, had sent. What it left behind may hold the connection open."""
        found: list[Message] = []
        until = time.monotonic() + _LAST_WORDS
        # At last half a message, where it was interrupted in the midst of one.
        with suppress(EOFError, OSError, ValueError):
            while wait([self.connection], 0) and time.monotonic() < until:
                found += self.receiver.messages()
        return found

    def end(self, until: float) -> int:
        """Wait for the process, until a moment of the monotonic clock; return its status."""
        try:
            self.process.wait(max(until - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # with what the task has started
            self.process.wait()
        os.close(self._held)
        until = time.monotonic() + _LAST_WORDS
        for writer in self._writers:
            writer.join(
                max(until - time.monotonic(), 0)
            )  # what a task left behind may hold it open
        return self.process.returncode


def _started(*descriptors: int) -> subprocess.Popen[bytes]:
    """Start the worker's program, with the options of the interpreter that runs here."""
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001  # as multiprocessing does
    numbers = map(str, descriptors)
    # An interruption waits until the worker can take it, which does not in the midst of imports.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(  # noqa: S603  # this interpreter
            [sys.executable, *options, "-c", _START, *numbers, *_path()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
            process_group=0,  # Ctrl-C comes to this process alone, which interrupts the tasks then
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _path() -> list[str]:
    """Return where modules are looked for: what is relative is so to the directory of now."""
    return [
        str(Path(each).absolute()) if each else str(Path.cwd())
        for each in sys.path
        if _is_text(each)
    ]


def _is_text(entry: object) -> bool:  # imports leave others out of account
    return isinstance(entry, str)


class _ProcessSession(Session):
    def __init__(self, max_workers: int) -> None:
        self.capacity: int = max_workers
        self._workers: list[_Worker] = []
        self._selector = DefaultSelector()
        self._idle: list[_Worker] = []
        self._tasks: dict[int, list[Any]] = {}  # pickled, by the number of what was pickled
        self._kept: list[Any] = []  # so that no other task gets the same number
        self._modules: set[str] = set()  # digests of those that the flow has brought
        self._numbers = count_from()
        self._ready: deque[tuple[Any, State]] = deque()

    def submit(self, token: Any, job: Job) -> None:
        if (state := done_here(job)) is not None:
            self._ready.append((token, state))
            return
        task = id(job.task)
        try:
            work = self._packed(task, job)
        except Exception as error:  # noqa: BLE001  # anything that an object's pickling raises
            self._fail(token, "the task or its inputs cannot be pickled", error)
            return
        awaits = is_async(job.task)
        try:
            worker = self._for_async(job) if awaits else self._for_plain(job)
        except Exception as error:  # noqa: BLE001
            what = "no process can be started" if isinstance(error, OSError) else _CONTEXT
            self._fail(token, what, error)
            return
        number = next(self._numbers)
        worker.jobs[number] = (token, job)
        if awaits:
            self._ready.append((token, DETACHED))
        else:
            worker.plain = number
            if job.task.timeout is not None:
                worker.is_timed = False
                worker.due = time.monotonic() + job.task.timeout + _OVERDUE + _STARTING
        self._bring(worker)
        if task not in worker.tasks:
            worker.tasks.add(task)
            self._send(worker, b"task", task, self._tasks[task])
        self._send(worker, b"await" if awaits else b"work", number, work)

    def _packed(self, task: int, job: Job) -> list[Any]:
        with noting(self._modules):
            if task not in self._tasks:
                self._tasks[task] = packed(for_workers(job.task))
                self._kept.append(job.task)
            return packed(
                (
                    task,
                    job.slug,
                    job.map_index,
                    job.inputs,
                    job.run_count,
                    job.retrying,
                    job.keeping,
                )
            )

    def _bring(self, worker: _Worker) -> None:
        """Send to a process the modules that the flow has brought, which what follows may need."""
        if new := self._modules - worker.modules:
            worker.modules |= new
            self._send(worker, b"modules", 0, packed(sources_of(new)))

    def _for_plain(self, job: Job) -> _Worker:
        """Return a process that is free."""
        return self._idle.pop() if self._idle else self._start(job.context)

    def _for_async(self, job: Job) -> _Worker:
        """Return the process that awaits least; another is started where that is much."""
        least = min(self._workers, key=lambda each: len(each.jobs), default=None)
        if least is None or (len(least.jobs) >= _MUCH and len(self._workers) < self.capacity):
            least = self._start(job.context)
            self._idle.append(least)
        return least

    def _fail(self, token: Any, what: str, error: Exception) -> None:
        self._ready.append((token, Failed(f"{what}: {describe(error)}", error)))

    def _start(self, context: dict[str, Any]) -> _Worker:
        with noting(self._modules):
            run, given = packed((_levels(), sys.argv)), packed(context)
        worker = _Worker()
        self._workers.append(worker)
        self._selector.register(worker.connection, EVENT_READ, worker)
        self._bring(worker)
        self._send(worker, b"run", 0, run, given)
        return worker

    def _send(self, worker: _Worker, kind: bytes, number: int, *parts: list[Any]) -> None:
        """Send a message to a process; what it does not take now goes while something is waited for."""
        with suppress(OSError):  # it has died: that is seen when its answer is waited for
            if worker.outbox.send(kind, number, *parts):
                self._selector.modify(worker.connection, EVENT_READ | EVENT_WRITE, worker)

    def next_completed(self, timeout: float) -> tuple[Any, State] | None:
        if not self._ready:
            self._hear(timeout)
        return self._ready.popleft() if self._ready else None

    def _hear(self, timeout: float) -> None:
        """Take what processes tell, once, and end those that are silent for too long."""
        ready = self._selector.select(timeout)
        speaking: list[_Worker] = [key.data for key, events in ready if events & EVENT_READ]
        for worker in (key.data for key, events in ready if events & EVENT_WRITE):
            with suppress(OSError):  # as above
                if worker.outbox.flush():
                    continue
            self._selector.modify(worker.connection, EVENT_READ, worker)
        for worker in speaking:
            try:
                messages = worker.receiver.messages()
            except (EOFError, OSError):
                self._lose(worker)
                continue
            for message in messages:
                self._take(worker, message)
        self._end_overdue(speaking)

    def _take(self, worker: _Worker, message: Message) -> None:
        """Take what a process tells."""
        kind, number, parts = message
        if kind == b"log":
            _log(message)
            worker.said, worker.heard = number / 1000, time.monotonic()
            return
        token, job = worker.jobs[number]
        if kind == b"timed":
            worker.is_timed = True
            worker.due = time.monotonic() + (job.task.timeout or 0) + _OVERDUE
        elif kind == b"untimed":
            worker.due = None
        else:
            del worker.jobs[number]
            if worker.plain == number:
                worker.plain = worker.due = None
                self._idle.append(worker)
            self._ready.append((token, _outcome(kind, *parts)))

    def _end_overdue(self, speaking: list[_Worker]) -> None:
        """End processes whose task has not ended after its timeout: stopped, in code that hears nothing, or deaf to it.

        One that speaks may only be heard late: it is ended when something is heard that it said after its time.
        """
        moment = time.monotonic()
        for worker in [each for each in self._workers if (each.due or inf) <= moment]:
            is_behind = worker in speaking or moment < worker.heard + _LAST_WORDS
            if worker.said > (worker.due or inf) or not is_behind:
                self._lose(worker, moment)

    def _lose(self, worker: _Worker, overdue: float | None = None) -> None:
        """Let a process go that has died, or is to be ended as overdue, with what it worked on."""
        self._workers.remove(worker)
        self._selector.unregister(worker.connection)
        status = worker.end(time.monotonic() + _GRACE if overdue is None else overdue)
        rest = worker.rest()
        worker.connection.close()
        for message in rest:
            self._take(worker, message)
        if worker in self._idle:
            self._idle.remove(worker)
        death = _death(status)
        if overdue is not None:
            death = "was ended, since another task in it did not end after its timeout"
        lost = f"the worker process {death}"
        for number, (token, job) in worker.jobs.items():
            failed = Failed(lost, RemoteTaskError(lost))
            if overdue is not None and number == worker.plain:
                failed = _overdue(job, is_timed=worker.is_timed)
            self._ready.append((token, after_loss(job, failed)))

    def stop(self, *, abandon: bool) -> None:
        until = time.monotonic() + _GRACE
        self._selector.close()
        for worker in self._workers:
            if abandon and worker.jobs:
                worker.interrupt()
            with suppress(OSError):  # it has died
                worker.connection.shutdown(socket.SHUT_WR)
        _last_words(self._workers, until)
        for worker in self._workers:
            worker.end(until)
            worker.connection.close()
        self._workers.clear()


def _overdue(job: Job, *, is_timed: bool) -> TimedOut:
    """Return the state of a task whose process was ended; its timeout ran, or it had not begun."""
    took = f"took longer than {job.task.timeout:g} seconds" if is_timed else "was not begun in time"
    message = f"the task {took}, and its process, which did not react, was ended"
    return TimedOut(message, TaskTimeoutError(message))


def _last_words(workers: Iterable[_Worker], until: float) -> None:
    """Handle what processes that are to end still log, until they have, or a moment of the monotonic clock."""
    left = {each.connection.fileno(): each for each in workers}
    while left:
        ready = wait(left, min(_PAUSE, max(until - time.monotonic(), 0)))
        for number in ready:
            try:
                messages = left[number].receiver.messages()  # type: ignore[index]  # what was given
            except (EOFError, OSError, ValueError):
                # The last, where one was interrupted in the midst of another.
                del left[number]  # type: ignore[arg-type]
                continue
            for message in messages:
                if message.kind == b"log":
                    _log(message)
        if time.monotonic() >= until:
            return
        if not ready:
            # What it has started may hold the connection open.
            left = {number: each for number, each in left.items() if each.process.poll() is None}


def _log(message: Message) -> None:
    record = logging.makeLogRecord(unpacked(message.parts[0]))
    logging.getLogger(record.name).handle(record)


def _outcome(kind: bytes, data: list[Any], value: list[Any]) -> State:
    state = arrived(unpacked, data)
    if kind == b"raised":  # what ends the run rather than the task
        raise state  # type: ignore[misc]
    if value:
        state.held = Packed(value)
    return state


def _death(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"ended with status {status}: a task, or what it called, ended it"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    why = ": perhaps memory ran out" if name == "SIGKILL" else ""
    return f"was ended by {name}{why}"


def _levels() -> dict[str, int]:
    """Return the levels of the loggers here that have one of their own."""
    loggers = logging.Logger.manager.loggerDict
    named = {name: each.level for name, each in loggers.items() if isinstance(each, logging.Logger)}
    return {"": logging.getLogger().level} | {name: level for name, level in named.items() if level}


def _pass_on(pipe: IO[bytes], name: str) -> None:
    """Write what a process prints where this one does, in whole lines: there, secrets are masked."""
    rest = b""
    with pipe:
        while data := os.read(pipe.fileno(), 1 << 16):
            rest += data
            end = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
            if not end and len(rest) > _LONGEST_LINE:
                end = len(rest)
            _write(name, rest[:end])
            rest = rest[end:]
    _write(name, rest)


def _write(name: str, data: bytes) -> None:
    stream: TextIO = getattr(sys, name)
    if data:
        with suppress(ValueError, OSError):  # closed
            stream.write(data.decode(errors="replace"))
            stream.flush()

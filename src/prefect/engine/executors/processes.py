"""Runs tasks in processes of this machine, each with an interpreter of its own."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import count as count_from
from math import inf
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from prefect.core.check import count
from prefect.core.state import Failed, TimedOut
from prefect.core.tracebacks import describe
from prefect.engine.executors.base import DETACHED, Executor, Session
from prefect.engine.executors.brought import noting, sources_of
from prefect.engine.executors.here import done_here
from prefect.engine.executors.process_handle import LAST_WORDS, WorkerProcess, uninterrupted
from prefect.engine.executors.process_lines import LOGGED, LineReceiver, log_here
from prefect.engine.executors.travelling import Packed, arrived, for_workers, packed, unpacked
from prefect.engine.job import after_loss, is_async
from prefect.errors import RemoteTaskError, TaskTimeoutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State
    from prefect.engine.executors.messages import Message
    from prefect.engine.job import Job

_GRACE = 5.0
"""Seconds that a task which is interrupted has for its `finally` blocks."""
_OVERDUE = 5.0
"""Seconds after a task's timeout in which its process is to say that it took place; then it is ended."""
_STARTING = 60.0
"""The same for a task that has not begun: its process may be starting, and has imports to do and inputs to load."""
_MUCH = 100
"""How many async tasks a process awaits before another is started for more."""
_LOOK = 1.0
"""Seconds after which one looks whether a process has ended whose connection has not: something else holds that."""
_PAUSE = 0.05
"""The same where processes are to end."""


class ProcessExecutor(Executor):
    """Several tasks at a time, for those that compute: each process has its own interpreter lock.

    Processes start as they are needed, once a run, and end with it. They are made anew rather than
    forked, which is safe with threads, and without importing the script again: it needs no
    `if __name__ == "__main__"`. Tasks, inputs and results are pickled; a task is sent once to each
    process, and large buffers (arrays, frames) are not copied into a pickle. What a task changes in its
    inputs or in globals stays in its process. What it prints and logs comes out here.

    A process that dies, for want of memory for example, fails its task, which is tried again as often
    as `max_retries` says; another process takes its place. What the task has started ends with it, unless
    that has a session or group of its own.

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


class _NotStartedError(Exception):
    """No process was started: for want of what, and why."""

    def __init__(self, what: str, why: Exception) -> None:
        super().__init__(what)
        self.why = why


class _ProcessSession(Session):
    def __init__(self, max_workers: int) -> None:
        self.capacity: int = max_workers
        self._workers: list[WorkerProcess] = []
        self._selector = DefaultSelector()
        self._lines = LineReceiver()
        self._looked = 0.0  # when all processes were looked at
        self._idle: list[WorkerProcess] = []
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
        except _NotStartedError as error:
            self._fail(token, str(error), error.why)
            return
        number = next(self._numbers)
        worker.jobs[number] = (token, job)
        if awaits:
            self._ready.append((token, DETACHED))
        else:
            worker.plain = number
            if job.task.timeout is not None:
                worker.is_timed = False
                worker.due = time.monotonic() + job.task.timeout + _STARTING
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

    def _bring(self, worker: WorkerProcess) -> None:
        """Send to a process the modules that the flow has brought, which what follows may need."""
        if new := self._modules - worker.modules:
            worker.modules |= new
            self._send(worker, b"modules", 0, packed(sources_of(new)))

    def _for_plain(self, job: Job) -> WorkerProcess:
        """Return a process that is free."""
        return self._idle.pop() if self._idle else self._start(job.context)

    def _for_async(self, job: Job) -> WorkerProcess:
        """Return the process that awaits least; another is started where that is much."""
        least = min(self._workers, key=lambda each: len(each.jobs), default=None)
        if least is None or (len(least.jobs) >= _MUCH and len(self._workers) < self.capacity):
            least = self._start(job.context)
            self._idle.append(least)
        return least

    def _fail(self, token: Any, what: str, error: Exception) -> None:
        self._ready.append((token, Failed(f"{what}: {describe(error)}", error)))

    def _start(self, context: dict[str, Any]) -> WorkerProcess:
        try:
            with noting(self._modules):
                run, given = packed((_levels(), sys.argv)), packed(context)
        except Exception as error:
            what = "the parameters of the run, or its context, cannot be pickled"
            raise _NotStartedError(what, error) from error
        with uninterrupted():
            try:
                worker = self._started()
            except Exception as error:
                raise _NotStartedError("no process can be started", error) from error
            self._bring(worker)
            self._send(worker, b"run", 0, run, given)
        return worker

    def _started(self) -> WorkerProcess:
        reading, writing = self._lines.ends()
        if reading not in self._selector.get_map():
            self._selector.register(reading, EVENT_READ)
        worker = WorkerProcess(writing)
        try:
            self._selector.register(worker.connection, EVENT_READ, worker)
        except BaseException:
            worker.end(time.monotonic())
            worker.close()
            raise
        self._workers.append(worker)
        return worker

    def _send(self, worker: WorkerProcess, kind: bytes, number: int, *parts: list[Any]) -> None:
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
        moment = time.monotonic()  # before what may take long
        readable = [key.data for key, events in ready if events & EVENT_READ]
        speaking: list[WorkerProcess] = [each for each in readable if each is not None]
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
            except ValueError:
                # What is no message was not sent by the worker, and nothing more can be read.
                self._lose(worker, 0)
                continue
            for message in self._lines.among(messages):
                self._take(worker, message)
        if len(speaking) < len(readable):
            log_here(self._lines.lines())
        self._end_overdue(moment, speaking)
        if moment >= self._looked + _LOOK:
            self._looked = moment
            for worker in [each for each in self._workers if each.process.poll() is not None]:
                self._lose(worker)

    def _take(self, worker: WorkerProcess, message: Message) -> None:
        """Take what a process tells."""
        kind, number, parts = message
        if kind in LOGGED:
            log_here([message])
            if kind == b"log":
                worker.said, worker.heard = number / 1e6, time.monotonic()
            return
        if number not in worker.jobs:
            return  # a task has written it, to what it did not open
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

    def _end_overdue(self, moment: float, speaking: list[WorkerProcess]) -> None:
        """End processes whose task has not ended after its timeout: stopped, in code that hears nothing, or deaf to it.

        One that speaks may only be heard late: it is ended when something is heard that it said after its time.
        """
        for worker in [each for each in self._workers if (each.due or inf) <= moment]:
            is_behind = worker in speaking or moment < worker.heard + LAST_WORDS
            if worker.said > (worker.due or inf) or not is_behind:
                self._lose(worker, 0, is_overdue=True)

    def _lose(
        self, worker: WorkerProcess, seconds: float | None = None, *, is_overdue: bool = False
    ) -> None:
        """Let a process go that has died, or is to be ended, with what it worked on.

        Args:
            worker: the process.
            seconds: until it is ended; by default as many as a task has that is interrupted.
            is_overdue: whether that is since its task is.
        """
        self._selector.unregister(worker.connection)
        worker.end(time.monotonic() + (_GRACE if seconds is None else seconds))
        worker.end_others(time.monotonic() + LAST_WORDS)
        rest = worker.rest()
        self._workers.remove(worker)
        worker.close()
        for message in self._lines.among(rest):
            self._take(worker, message)
        if worker in self._idle:
            self._idle.remove(worker)
        why = "was ended, since another task in it did not end after its timeout"
        if not is_overdue:
            why = worker.death()
        lost = f"the worker process {why}"
        for number, (token, job) in worker.jobs.items():
            failed = Failed(lost, RemoteTaskError(lost))
            if is_overdue and number == worker.plain:
                failed = _overdue(job, is_timed=worker.is_timed)
            self._ready.append((token, after_loss(job, failed)))

    def stop(self, *, abandon: bool) -> None:
        until = time.monotonic() + _GRACE
        try:
            for worker in self._workers:
                with suppress(KeyError):  # it was being ended when it came to this
                    self._selector.modify(worker.connection, EVENT_READ, worker)
                if abandon and worker.jobs:
                    worker.interrupt()
                with suppress(OSError):  # it has died
                    worker.connection.shutdown(socket.SHUT_WR)
            self._last_words(until)
        except BaseException:  # Ctrl-C once more: there is no more time
            until, abandon = time.monotonic(), True
            raise
        finally:
            with uninterrupted():
                self._end(until, abandon=abandon)

    def _end(self, until: float, *, abandon: bool) -> None:
        """End all processes, at a moment of the monotonic clock at last, and what tasks that are interrupted have started."""
        for worker in self._workers:
            worker.end(until)
        until = time.monotonic() + LAST_WORDS
        for worker in self._workers:
            if worker.was_killed or (abandon and worker.jobs):
                worker.end_others(until)
            worker.close()
        log_here(self._lines.lines())
        self._lines.close()
        self._selector.close()
        self._workers.clear()

    def _last_words(self, until: float) -> None:
        """Handle what processes that are to end still log, until they have, or a moment of the monotonic clock."""
        left = set(self._workers)
        while left:
            ready = self._selector.select(min(_PAUSE, max(until - time.monotonic(), 0)))
            for worker in (key.data for key, _ in ready):
                messages: list[Message] = []
                if worker is not None:
                    try:
                        messages = worker.receiver.messages()
                    except (EOFError, OSError, ValueError):
                        # The last, where one was interrupted in the midst of another.
                        self._selector.unregister(worker.connection)
                        left.discard(worker)
                log_here(self._lines.among(messages))
            if time.monotonic() >= until:
                return
            if not ready:
                # What it has started may hold the connection open.
                left = {each for each in left if each.process.poll() is None}


def _overdue(job: Job, *, is_timed: bool) -> TimedOut:
    """Return the state of a task whose process was ended; its timeout ran, or it had not begun."""
    took = f"took longer than {job.task.timeout:g} seconds" if is_timed else "was not begun in time"
    message = f"the task {took}, and its process, which did not react, was ended"
    return TimedOut(message, TaskTimeoutError(message))


def _outcome(kind: bytes, data: list[Any], value: list[Any]) -> State:
    state = arrived(unpacked, data)
    if kind == b"raised":  # what ends the run rather than the task
        raise state  # type: ignore[misc]
    if value:
        state.held = Packed(value)
    return state


def _levels() -> dict[str, int]:
    """Return the levels of the loggers here that have one of their own."""
    loggers = logging.Logger.manager.loggerDict
    named = {name: each.level for name, each in loggers.items() if isinstance(each, logging.Logger)}
    return {"": logging.getLogger().level} | {name: level for name, level in named.items() if level}

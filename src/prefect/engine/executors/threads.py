"""Runs tasks in threads of this process."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue

from prefect.core.check import count
from prefect.engine.executors.base import DETACHED, Executor, Session
from prefect.engine.executors.inbox import Inbox
from prefect.engine.interruption import Interruption, interrupt
from prefect.engine.job import Awaiting, begin_job, is_async, run_job
from prefect.engine.timeouts import has_given_up, wait_for_given_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any, TypeAlias

    from prefect.core.state import State
    from prefect.engine.awaiting import EventLoop
    from prefect.engine.job import Job

    Work: TypeAlias = tuple[Any, Job, Context] | None
    Done: TypeAlias = tuple[Any, State | BaseException | None, bool]
    """Of which job, what it came to, and whether its thread is free; with None, only the last."""


_MOST_WAITED = 1.0
"""Seconds in which tasks of a run that was stopped are to end; what waits outside of Python does not."""


class ThreadExecutor(Executor):
    """Several tasks at a time, for those that wait for networks and disks.

    A try that timed out, and goes on because it cannot be interrupted, keeps its worker until it ends,
    but no longer than a minute.

    Args:
        max_workers: how many; by default four more than there are CPUs, at most 32.

    Raises:
        TypeError, ValueError: it is not a number from 1.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and count("max_workers", max_workers) < 1:
            raise ValueError("max_workers must be at least 1")
        self.max_workers = max_workers or min(32, (os.cpu_count() or 1) + 4)
        self._chosen = max_workers is not None

    def start(self) -> Session:
        """Return a session; it starts threads as they are needed."""
        return _ThreadSession(self.max_workers)

    def text(self) -> str:
        """Return its text form, without a number where none was given: machines differ."""
        return f"threads:{self.max_workers}" if self._chosen else "threads"

    def __repr__(self) -> str:
        return f"ThreadExecutor(max_workers={self.max_workers})"


class _ThreadSession(Session):
    """Daemon threads.

    Those of concurrent.futures are not, and would keep an interrupted run from ending before the
    last of its tasks has.
    """

    def __init__(self, max_workers: int) -> None:
        self.capacity: int = max_workers
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._work: SimpleQueue[Work] = SimpleQueue()
        self._done = Inbox()
        self._stopped = threading.Event()
        self._loop: EventLoop | None = None

    def submit(self, token: Any, job: Job) -> None:
        if is_async(job.task):
            self._begin(token, job)
            return
        if self._idle:
            self._idle -= 1
        elif len(self._threads) < self.capacity:
            thread = threading.Thread(
                target=_work_until_told,
                args=(self._work, self._done, self._stopped.is_set),
                name="prefect-task",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()
        # What the caller set in its context variables holds for its tasks, too.
        self._work.put((token, job, copy_context()))

    def next_completed(self, timeout: float) -> tuple[Any, State] | None:
        if self._loop is not None and self._done.empty():
            self._loop.wake()
        done: Done | None = self._done.get(timeout)
        if done is None:
            return None
        token, state, free = done
        self._idle += free
        if state is None:
            return None
        if isinstance(state, BaseException):
            raise state
        return token, state

    def _begin(self, token: Any, job: Job) -> None:
        """Begin an async task, which needs no thread of its own."""
        if self._loop is None:
            from prefect.engine.awaiting import EventLoop  # noqa: PLC0415  # few tasks are async

            self._loop = EventLoop(lambda token, state: self._done.put((token, state, False)))
        state = begin_job(job)
        if isinstance(state, Awaiting):
            self._done.put((token, DETACHED, False))  # first: once added, it can end at any time
            self._loop.add(token, state)
        else:
            self._done.put((token, state, False))

    def stop(self, *, abandon: bool) -> None:
        self._stopped.set()
        if self._loop is not None:
            self._loop.stop()
        if abandon:
            while not self._work.empty():
                self._work.get_nowait()
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            if abandon:
                interrupt(thread)
        deadline = time.monotonic() + _MOST_WAITED
        for thread in self._threads:
            if thread.is_alive():  # Ctrl-C may have come before one began
                thread.join(max(deadline - time.monotonic(), 0) if abandon else None)


def _work_until_told(work: SimpleQueue[Work], done: Inbox, stopped: Callable[[], bool]) -> None:
    with suppress(Interruption):
        while (item := work.get()) is not None:
            token, job, context = item
            try:
                state: State | BaseException = context.run(run_job, job)
            except BaseException as error:  # noqa: BLE001  # raised again in the runner's thread
                state = error
            given_up = has_given_up()
            done.put((token, state, not given_up))
            del item, job, context, token, state  # or they, and their data, live on until more work
            if given_up:  # which is over: but what it does is not
                wait_for_given_up(stopped)
                done.put((None, None, True))

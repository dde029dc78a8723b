"""Jobs that are under way on a worker, and how they are ended from outside: their run is over.

A thread of a worker goes on to other jobs, also of others' runs. So nothing is raised in it but while
it does the job that is to end.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import threading
from collections import OrderedDict
from contextlib import suppress
from contextvars import ContextVar
from time import monotonic, time

from distributed import WorkerPlugin, get_worker, threadpoolexecutor
from distributed.worker import thread_state  # type: ignore[attr-defined]
from distributed.worker_state_machine import SecedeEvent

from prefect.engine.executors.dask.secret_values import forget
from prefect.engine.interruption import interrupt_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

MOST_WAITED = 1.0
"""Seconds in which jobs that are interrupted are to end; then others get their places."""
_POLL = 0.005
_REMEMBERED = 1000

current: ContextVar[Underway | None] = ContextVar("prefect.underway", default=None)
"""The job that this code is part of."""
_underway: dict[str, set[Underway]] = {}
_over: OrderedDict[str, None] = OrderedDict()
"""Runs of which nothing is to begin any more."""
_lock = threading.Lock()


class LeavesCtrlC(WorkerPlugin):
    """Has worker processes at our terminal leave Ctrl-C to us: their tasks are interrupted from here."""

    name = "prefect-leaves-ctrl-c"

    def setup(self, worker: Any) -> None:  # noqa: ARG002  # Dask's signature
        """Begin; called in a worker's process."""
        with suppress(ValueError):  # not in its main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class RunIsOverError(Exception):
    """A job has come to a worker whose run has been stopped."""


class Underway:
    """A job on a worker, for as long as a `with` has it.

    Args:
        topic: identifies its run.

    Raises:
        RunIsOverError: by `with`.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._lock = threading.Lock()
        self.is_over = False

    def __enter__(self) -> Self:
        with _lock:
            if self._topic in _over:
                raise RunIsOverError
            _underway.setdefault(self._topic, set()).add(self)
        self._token = current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
        current.reset(self._token)

    def end(self) -> None:
        """Have it interrupted no more."""
        with self._lock:
            self.is_over = True
        with _lock:
            jobs = _underway.get(self._topic, set())
            jobs.discard(self)
            if not jobs:
                _underway.pop(self._topic, None)

    def interrupt(self) -> None:
        """End it from outside, if that can be done just now."""
        raise NotImplementedError

    def leave_place(self) -> None:
        """Give its place on the worker to others."""


class InThread(Underway):
    """A job in a thread of a worker."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self._thread = threading.current_thread()
        self._place = vars(threadpoolexecutor.thread_state)  # this thread's own
        self._key = thread_state.key
        self._start = time()
        self._worker = get_worker()
        self._interrupted = False

    def end(self) -> None:
        """Have nothing raised in this thread any more."""
        super().end()
        if self._interrupted:  # and perhaps not seen yet
            raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
            raise_in(ctypes.c_ulong(self._thread.ident or 0), None)

    def interrupt(self) -> None:
        """Raise an Interruption in the job, once, unless it takes or gives back a lock just now."""
        with self._lock:
            if not self.is_over and not self._interrupted:
                self._interrupted = interrupt_now(self._thread)

    def leave_place(self) -> None:
        """Give its place to others, from whatever thread: it waits, or cannot be ended."""
        with self._lock:
            if self.is_over or not self._place.get("proceed"):
                return
            self._place["proceed"] = False
            executor = self._place["executor"]
            with threadpoolexecutor.threads_lock:  # as `distributed.secede` does
                executor._threads.discard(self._thread)  # noqa: SLF001
                executor._adjust_thread_count()  # noqa: SLF001
        self._worker.loop.add_callback(secede, self._worker, self._key, time() - self._start)


def secede(worker: Any, key: Any, seconds: float) -> None:
    """Tell a worker, in its event loop, that a job takes no place there any more."""
    event = SecedeEvent(key=key, compute_duration=seconds, stimulus_id=f"prefect-leaves-{time()}")
    worker.handle_stimulus(event)


class OnLoop(Underway):
    """A job that is awaited on the event loop of a worker's async tasks."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()

    def interrupt(self) -> None:
        """Cancel it, once."""
        if self._task is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._task = None


async def stop_run(topic: str) -> int:
    """Interrupt the jobs of a run in this process, and have no more begin.

    Returns:
        How many go on, as they wait outside of Python: others have got their places.
    """
    forget(topic)
    with _lock:
        _over[topic] = None
        if len(_over) > _REMEMBERED:
            _over.popitem(last=False)
        left = list(_underway.get(topic, ()))
    until = monotonic() + MOST_WAITED
    while left:
        for job in left:
            job.interrupt()
        await asyncio.sleep(_POLL)
        left = [job for job in left if not job.is_over]
        if monotonic() >= until:
            break
    for job in left:
        job.leave_place()
    return len(left)


async def stop_everywhere(client: Any, topic: str) -> int:
    """Do so on all workers of a cluster, and wait for it; return how many jobs go on."""
    found = await asyncio.wait_for(
        client._run(stop_run, topic, on_error="ignore"),  # noqa: SLF001  # `run`, in this loop
        3 * MOST_WAITED,
    )
    return sum(found.values())

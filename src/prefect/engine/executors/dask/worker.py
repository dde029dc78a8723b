"""What runs on the workers of a Dask cluster: a try at a task, and what it tells meanwhile.

A job returns its value, which stays on its worker. What it comes to is told by events: that it runs, its
log lines, that it is done with a value of some size, or ended otherwise.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import pickle
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import Context

from distributed import get_worker
from distributed.sizeof import safe_sizeof

from prefect.core.inputs import unmappable
from prefect.core.state import Failed, Success
from prefect.core.tracebacks import describe
from prefect.engine.executors.dask.interrupting import InThread, OnLoop, RunIsOverError, secede
from prefect.engine.executors.dask.kept import Kept, Small, dumps, loads, taken
from prefect.engine.executors.dask.modules import carried
from prefect.engine.executors.dask.scheduler import ONCE
from prefect.engine.executors.dask.secret_values import (
    Received,
    came,
    having,
    is_encrypted,
    wait,
)
from prefect.engine.executors.dask.telling import AFTER, Outbox, forwarded_logs
from prefect.engine.executors.here import SUCCEEDED
from prefect.engine.executors.travelling import (
    packed_state,
    without_result,
)
from prefect.engine.interruption import Interruption
from prefect.engine.job import Awaiting, Job, begin_job, run_job
from prefect.engine.releasing import ATOMS
from prefect.engine.spans import spanned
from prefect.errors import RemoteTaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from prefect.core.state import State

    T = TypeVar("T")

INLINE = 1024
"""Bytes, pickled, up to which a value is told with the event and is not kept on the worker."""
BUFFERS = frozenset({"numpy", "pandas", "pyarrow", "polars", "cupy", "scipy", "xarray", "torch"})
"""Packages whose values can be pickled for certain."""


_UNCHANGEABLE = ATOMS | {str, bytes}


class EndedError(Exception):
    """A job came to something else than a value, which has been told: `state`, pickled.

    Raised, so that what depends on the value, made again after the loss of a worker, does not run.
    """

    def __init__(self, state: bytes) -> None:
        super().__init__(state)
        self.state = state

    def __repr__(self) -> str:
        return "EndedError()"


def _ended_with(outbox: Outbox, state: bytes) -> EndedError:
    """Tell of a state, and return what is to be raised."""
    outbox.tell("ended", state)
    return EndedError(state)


def _is_news(record: logging.LogRecord) -> bool:
    """Keep a worker from logging such an outcome, with the inputs, as a mistake."""
    return not (str(record.msg).startswith("Compute Failed") and "EndedError" in str(record.args))


logging.getLogger("distributed.worker").addFilter(_is_news)


def work_for_run(
    run: tuple[str, str, int, bool], number: int, step: Kept | bytes, shared: Kept | bytes,
    payload: bytes, references: Sequence[Any],
) -> Any:  # fmt: skip
    """Do a job, and return its value.

    Args:
        run: the topic to tell of it, the process that the flow runs in, the level of its logger, and
            whether there are secrets to be had of it.
        number: the job's, in its run.
        step: the task.
        shared: the context of the run.
        payload: what is the job's own, pickled.
        references: values that stand for references in it.
    """
    topic, home, level, has_secrets = run
    try:
        with InThread(topic):
            outbox = Outbox(topic, number, get_worker())
            received = _secrets(outbox, topic) if has_secrets else None
            with forwarded_logs(outbox, level, home), having(received):
                return _ended(*_done(outbox, step, shared, payload, references, run_job))
    except (Interruption, RunIsOverError):
        raise EndedError(b"") from None  # nobody hears of it


def _done(
    outbox: Outbox, step: Kept | bytes, shared: Kept | bytes, payload: bytes,
    references: Sequence[Any], do: Callable[[Job], T],
) -> tuple[Outbox, Job, T | None]:  # fmt: skip
    """Load a job and do it, or begin it."""
    outbox.tell("running")
    try:
        task, context = _loaded(step), _loaded(shared)
        token = taken.set(references)
        try:
            slug, map_index, run_count, retrying, inputs, keeping = pickle.loads(payload)  # noqa: S301
        finally:
            taken.reset(token)
    except Exception as error:  # noqa: BLE001  # anything that an object's unpickling raises
        message = f"a worker cannot load the task; has it the same packages? {describe(error)}"
        raise _ended_with(outbox, dumps(Failed(message, RemoteTaskError(message)))) from None
    job = Job(task, slug, map_index, inputs, context, run_count, retrying)
    job.keeping = keeping
    try:
        with spanned(job):
            return outbox, job, do(job)
    except KeyboardInterrupt as error:
        outbox.tell("interrupted", dumps((type(error), error.args)))
        return outbox, job, None


def _ended(outbox: Outbox, job: Job, state: State | None) -> Any:
    """Return what is to be kept of what a job has come to."""
    if state is None:
        return None
    return _told(state, outbox, limit=None if job.task.at_most_once else INLINE)


async def await_for_run(
    run: tuple[str, str, int, bool], number: int, step: Kept | bytes, shared: Kept | bytes,
    payload: bytes, references: Sequence[Any], key: Any,
) -> Any:  # fmt: skip
    """Do a job of an async task, on the event loop that this worker has for them, beside its places.

    Dask's own loop has the worker's business to do, and may not be kept by a task.

    Args:
        run: as above, and so are the others.
        key: of the job's future.
    """
    topic, home, level, has_secrets = run
    dask_worker = get_worker()
    # In a context of its own: in this one, what begins then would be measured as a part of this job.
    asyncio.get_running_loop().call_soon(secede, dask_worker, key, 0.001, context=Context())

    async def do() -> Any:
        try:
            with OnLoop(topic):
                outbox = Outbox(topic, number, dask_worker)
                received = None
                if has_secrets:
                    received = came(topic) or await asyncio.to_thread(_secrets, outbox, topic)
                with forwarded_logs(outbox, level, home), having(received):
                    _, job, begun = _done(outbox, step, shared, payload, references, begin_job)
                    if isinstance(begun, Awaiting):
                        loop = asyncio.get_running_loop()
                        state = await loop.create_task(begun.state(), context=begun.context)
                    else:
                        state = begun  # type: ignore[assignment]
                    return _ended(outbox, job, state)
        except (asyncio.CancelledError, Interruption, RunIsOverError):
            raise EndedError(b"") from None  # as above

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(do(), _event_loop()))


_loops: dict[int, asyncio.AbstractEventLoop] = {}
_making = threading.Lock()


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process's async tasks."""
    with _making:
        if (loop := _loops.get(os.getpid())) is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="prefect-async", daemon=True).start()
        return loop


def _secrets(outbox: Outbox, run: str) -> Received | None:
    """Return the secrets of a run; None on a worker that is to have its own."""
    if not is_encrypted(outbox.address):
        return None
    try:
        return wait(run, lambda: outbox.tell("secrets"))
    except CancelledError:
        raise RunIsOverError from None
    except TimeoutError:
        message = f"the secrets of the run have not come to the Dask worker {outbox.address}"
        raise _ended_with(outbox, dumps(Failed(message, RemoteTaskError(message)))) from None


def _loaded(kept: Kept | bytes) -> Any:
    return kept.load() if isinstance(kept, Kept) else loads(kept)


def _told(state: State, outbox: Outbox, limit: int | None) -> Any:
    """Tell what a job came to, and return what is to be kept of it."""
    value = state.held
    if type(state) is not Success:
        raise _ended_with(outbox, packed_state(state, dumps, loads))
    try:
        size = safe_sizeof(value)
        inline = _inline(value, size, limit)
    except Exception as error:  # noqa: BLE001  # anything that an object's pickling raises
        raise _ended_with(outbox, dumps(without_result(state, error))) from None
    length, reason = _items_of(value)
    message = None if state.message == SUCCEEDED else state.message
    more = getattr(state, "_context", None)
    if more and inline is None:  # the secrets that a value holds go where it goes, and no further
        more = {name: each for name, each in more.items() if name != "learned"}
    # What may not run again is told of first: Dask would do it, if its worker died before that was told.
    kind, within = (ONCE, 0) if limit is None else ("done", AFTER)
    outbox.tell(
        kind, size, inline, length, reason, message, *([more] if more else []), within=within
    )
    if limit is None:
        return None
    # Others may have been promised it.
    return carried(value) if inline is None or type(value) in _UNCHANGEABLE else Small(inline)


class _Counter(io.RawIOBase):
    """Counts bytes, and keeps none."""

    size = 0

    def write(self, data: Any) -> int:
        self.size += len(data)
        return len(data)

    def add(self, buffer: pickle.PickleBuffer) -> None:
        """Count what goes beside the pickle."""
        self.size += buffer.raw().nbytes


def _inline(value: Any, size: int, limit: int | None) -> bytes | None:
    """Return a small value's pickle, and None for a large one. Any has to have one.

    Or it would be found out only where the value is needed, and much later.
    """
    if limit is None:  # what is here cannot be lost with a worker, and made again
        return dumps(value)
    if size > limit:  # in memory, where small integers and short texts take many times as much
        if type(value).__module__.partition(".")[0] in BUFFERS:
            return None
        counter = _Counter()
        with suppress(Exception):  # cloudpickle may be able to do it
            pickle.Pickler(counter, 5, buffer_callback=counter.add).dump(value)
            if counter.size > limit:
                return None
    pickled = dumps(value)
    return pickled if len(pickled) <= limit else None


def _items_of(value: Any) -> tuple[int, str | None]:
    """Return over how many items of a value one can map, or why not."""
    if not isinstance(value, (list, tuple, range)) and (reason := unmappable(value)):
        return -1, reason
    try:
        return len(value), None
    except Exception as error:  # noqa: BLE001  # anybody's code
        return (
            -1,
            f"its {type(value).__name__} has no length ({type(error).__name__}); map over list(...)",
        )

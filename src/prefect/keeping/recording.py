"""The record of a run in its store, from before the run begins until after its end."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core.context import values
from prefect.core.state import Failed, TriggerFailed
from prefect.core.tracebacks import describe
from prefect.engine.job import Job
from prefect.errors import PrefectError, StoreError
from prefect.records.finding import path_of
from prefect.records.writing import Recorder, recorder
from prefect.secrets.masking import mask
from prefect.store.files import LocalFiles, give_to_owner, make_directory
from prefect.store.pruning import going_on
from prefect.store.store import KEY_VARIABLE, default_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.engine.events import TaskEvent
    from prefect.keeping.keeper import Keeper
    from prefect.store.files import Files
    from prefect.store.store import Store

# A record in a bucket is written anew as a whole, which is one request, and which readers need not know of.
_SOONEST = 1.0
"""Seconds between two times at least."""
_SELDOM = 30.0
"""The same at most, on a server that is quick enough."""
_PART = 0.1
"""Of the time that a run has taken, of which a kill may cost so much of its record."""
_REST = 20.0
"""For so many times as long as it took it is not written again."""
_MOST_BYTES = 1_000_000
"""A second, all in all."""


class RunRecord:
    """The record of a run in a store, from before it begins until after its end."""

    def __init__(self, store: Store, run: str, header: Mapping[str, Any]) -> None:
        self._store = store
        self._remote = not isinstance(store.files, LocalFiles)
        # Elsewhere nothing can be appended: it is written here, and copied.
        base = Path(default_store() if self._remote else store.where) / "runs"
        self._run = run
        self._path = base.parent / path_of(run)
        try:
            make_directory(base)
            self._recorder: Recorder = recorder(str(self._path), mask)
            give_to_owner(self._path, base)
            self._recorder.begin(header)
        except OSError as error:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            raise StoreError(f"No record can be written to {base}: {error.strerror}") from error
        try:
            self._copy()
        except BaseException:
            self._path.unlink(missing_ok=True)  # nothing has run
            raise
        if store.key_id is not None:
            _say_what_is_clear(store.where)

    def around(
        self,
        run: Callable[[Callable[[TaskEvent], None]], State],
        flow: Flow,
        on_state: Callable[[TaskEvent], None] | None,
        keeper: Keeper,
    ) -> State:
        """Run, and record what happens."""
        writer = self._recorder
        tasks = {slug: task for task, slug in flow.slugs.items()}
        coded: set[str] = set()
        told_unstored: set[str] = set()
        has_begun = False

        def tell(event: TaskEvent) -> None:
            nonlocal has_begun
            has_begun = True
            slug = event.task_slug
            context = getattr(event.state, "_context", None) or {}
            # Of what failed, too: its code may be what has changed.
            if slug not in coded and ("stored" in context or _has_failed(event.state)):
                coded.add(slug)
                writer.code(slug, keeper.code(tasks[slug]), keeper.reads(tasks[slug]))
            if "unstored" in context and slug not in told_unstored:
                told_unstored.add(slug)
                logging.getLogger("prefect").warning(
                    "The result of task %r is not stored, and is made again when this run is "
                    "resumed: %s", event.task_name, context["unstored"],
                )  # fmt: skip
            writer.on_state(event)
            if on_state is not None:
                on_state(event)

        state: State | None = None
        try:
            with going_on(self._path), _recorded_logs(writer), self._copied():
                state = run(tell)
        except BaseException as error:
            state = getattr(error, "state", None)
            if isinstance(error, PrefectError) and state is None and not has_begun:
                self._path.unlink(missing_ok=True)  # it was refused: nothing has run
                with suppress(StoreError):  # why it was refused is what is to be known
                    self._store.files.remove(path_of(self._run))
            elif state is None:  # none of its own: whatever has ended it is how it ended
                state = Failed(f"The run was ended by an error: {describe(error)}", error)
            raise
        finally:
            self._end(flow, state)
        return state

    def _end(self, flow: Flow, state: State | None) -> None:
        """End the record. The run has ended, and what it came to counts, whatever becomes of this."""
        logger = logging.getLogger("prefect")
        writer = self._recorder
        writer.end(flow.name, state)
        if writer.error is not None:
            logger.warning(
                "The record of this run ends too early: %s could not be written: %s",
                self._path, writer.error.strerror,
            )  # fmt: skip
        try:
            self._copy()
        except StoreError as error:
            logger.warning(
                "The record of this run ends too early in the store, and is whole in %s: %s",
                self._path, error,
            )  # fmt: skip

    def _copy(self, files: Files | None = None) -> int:
        """Bring what there is of the record to the store, if it lies elsewhere; return how many bytes that was."""
        if not (self._remote and self._path.exists()):
            return 0
        data = self._path.read_bytes()
        (files or self._store.files).write(path_of(self._run), [data])
        return len(data)

    @contextmanager
    def _copied(self) -> Iterator[None]:
        """Have the record brought to the store again and again meanwhile: a run may be killed at any time."""
        if not self._remote:
            yield
            return
        ended = threading.Event()
        files = self._store.aside().files
        thread = threading.Thread(
            target=self._copy_until, args=(ended, files), name="prefect-record-copy", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()  # or it would write what is older over what the end writes

    def _copy_until(self, ended: threading.Event, files: Files) -> None:
        began, known, wait = time.monotonic(), 0, _SOONEST
        while not ended.wait(wait):
            start = time.monotonic()
            size = 0
            with suppress(StoreError, OSError):  # of which the end tells, if it lasts
                size = self._path.stat().st_size
                if size != known:
                    known = self._copy(files)
            now = time.monotonic()
            wait = max(
                _SOONEST,
                min(_PART * (now - began), _SELDOM),
                _REST * (now - start),
                size / _MOST_BYTES,
            )


def _has_failed(state: State) -> bool:
    return isinstance(state, Failed) and not isinstance(state, TriggerFailed)


@cache
def _say_what_is_clear(where: str) -> None:
    """Say it once in a process: whoever sets a key may think that it covers all."""
    logging.getLogger("prefect").warning(
        "%s encrypts results. The records in %s are not encrypted: parameters, logs and tracebacks can be read there "
        "by whoever can read the store", KEY_VARIABLE, where,
    )  # fmt: skip


@contextmanager
def _recorded_logs(writer: Recorder) -> Iterator[None]:
    """Have what is logged meanwhile recorded as well."""
    logger = logging.getLogger("prefect")
    handlers: list[logging.Handler] = [_Handler(writer)]
    if not logger.hasHandlers() and logging.lastResort is not None:
        handlers.append(logging.lastResort)  # which a handler, such as ours, puts out of use
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)


class _Handler(logging.Handler):
    """Has what is logged in a run recorded, with the task that logs it."""

    def __init__(self, writer: Recorder) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Record it; what the engine says of states, these say."""
        if record.name == "prefect" and record.levelno <= logging.INFO:
            return
        job = values.get(None)
        slug, index = (job.slug, job.map_index) if isinstance(job, Job) else (None, None)
        try:
            self._writer.log(record, slug, index)
        except Exception:  # noqa: BLE001 - as logging's own handlers
            self.handleError(record)

"""`flow.run(progress=True)`: shows how far the run is, on a terminal, in a notebook, or as lines."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager

from prefect.core.context import current
from prefect.errors import RenderError
from prefect.progress.counts import FAILED, Counts, duration
from prefect.progress.resources import Usage, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.engine.events import TaskEvent

    class Shown(Protocol):
        """Where progress is shown."""

        def __enter__(self) -> object: ...
        def __exit__(self, *exc: object) -> None: ...
        def end(self, outcome: str) -> None:
            """Show what the run came to."""


_showing = threading.Lock()
_SECONDS_OF_LINES = 10.0
_SECONDS_OF_USAGE = 1.0
_LEAST_SLOW = 0.1
"""Seconds."""


def run_shown(
    run: Callable[..., State],
    flow: Flow,
    parameters: Any,
    executor: Any,
    on_state: Callable[[TaskEvent], None] | None,
    *more: Any,
) -> State:
    """Run a flow, and show how far it is.

    Args:
        run: called with what follows.
        flow: as of `Flow.run`, as all that follows.

    Raises:
        RenderError: it cannot be shown.
    """
    with _alone():
        progress = Progress(flow)
        shown = _shown(progress)

        def tell(event: TaskEvent) -> None:
            progress.take(event)
            if on_state is not None:
                on_state(event)

        outcome = "cut off"
        with shown:
            try:
                state = run(flow, parameters, executor, tell, *more)
                outcome = type(state).__name__
            except BaseException as error:
                outcome = type(getattr(error, "state", error)).__name__
                raise
            finally:
                shown.end(outcome)
        return state


@contextmanager
def _alone() -> Iterator[None]:
    if "flow_name" in current():
        raise RenderError(
            "progress=True within a task has nowhere to be shown: ask for it where the outermost flow is run"
        )
    if not _showing.acquire(blocking=False):
        raise RenderError(
            "The progress of another run is being shown: leave out progress=True of all but one"
        )
    try:
        yield
    finally:
        _showing.release()


def _shown(progress: Progress) -> Shown:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None and hasattr(shell, "kernel"):
        from prefect.progress.notebook import InNotebook  # noqa: PLC0415  # where there is one

        return InNotebook(progress)
    if sys.stderr is None or getattr(sys.stderr, "closed", False):
        raise RenderError(
            "progress=True has nowhere to be shown: standard error is closed, and this is no notebook"
        )
    from prefect.progress.lines import draws_on  # noqa: PLC0415  # no notebook needs it

    if draws_on(sys.stderr):
        from prefect.progress.terminal import OnTerminal  # noqa: PLC0415  # as above

        return OnTerminal(progress, sys.stderr)
    return _AsLines(progress)


class Progress:
    """How far a run is, and what it takes of the machine.

    Attributes:
        counts: what its events have come to.
        lock: held while these change.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow.name
        self.counts = Counts(flow.serialize())
        self.lock = threading.Lock()
        self._usage = Usage()
        self._used = ""
        self._asked = time.monotonic()

    def take(self, event: TaskEvent) -> None:
        """Take a change of a task's state."""
        with self.lock:
            state = type(event.state).__name__
            self.counts.take(event.task_slug, event.map_index, state, event.children)

    def used(self) -> str:
        """Return what it takes of the machine, or nothing where that is not known."""
        if time.monotonic() - self._asked >= _SECONDS_OF_USAGE:
            self._asked = time.monotonic()
            self._used = told(self._usage.now())
        return self._used

    def seconds(self) -> float:
        """Return for how long it has gone on."""
        return time.monotonic() - self.counts.began

    def head(self) -> str:
        """Return how far all of it is."""
        counts = self.counts
        parts = [f"{counts.finished:,}/{counts.total:,} tasks", duration(self.seconds())]
        if rate := counts.rate():
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")  # noqa: PLR2004
        if failed := self.failed():
            parts.append(f"{failed:,} failed")
        return ", ".join(parts)

    def failed(self) -> int:
        """Return how many have failed."""
        return sum(count for state, count in self.counts.states.items() if state in FAILED)

    def mapped(self) -> list[tuple[str, int, int, str]]:
        """Return of each mapped task that runs: its name, how many have ended, of how many, and what is left."""
        now = time.monotonic()
        found = []
        for task, mapped in self.counts.mapped.items():
            left = mapped.left(now)
            text = "" if left is None else f", {duration(left)} left"
            found.append((self.counts.label(task), mapped.ended, mapped.children, text))
        return found

    def slowest(self) -> str:
        """Return which took longest, of those that took their time."""
        slowest = [pair for pair in self.counts.slowest if pair[0] >= _LEAST_SLOW]
        told = ", ".join(f"{self.counts.label(*key)} {duration(secs)}" for secs, key in slowest)
        return f"slowest: {told}" if told else ""

    def running(self, most: int) -> list[tuple[str, float]]:
        """Return the first of those that run, and for how many seconds."""
        now = time.monotonic()
        shown = [
            (key, began)
            for key, began in self.counts.running.items()
            if key[0] not in self.counts.silent
        ]
        return [(self.counts.label(*key), now - began) for key, began in shown[:most]]

    def summary(self, outcome: str) -> str:
        """Return what the run came to."""
        states = ", ".join(f"{count:,} {state}" for state, count in self.counts.states.items())
        head = f"{self.flow}: {outcome} in {duration(self.seconds())}"
        return ". ".join(filter(None, (head, states, self.slowest())))


class _AsLines:
    """Lines on standard error, few of them, where nothing can be drawn anew."""

    def __init__(self, progress: Progress) -> None:
        from prefect.progress.lines import Ticker  # noqa: PLC0415  # as where it is chosen

        self._progress = progress
        self._ticker = Ticker(self._tell, _SECONDS_OF_LINES)

    def __enter__(self) -> None:
        self._ticker.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._ticker.__exit__(*exc)

    def _tell(self) -> None:
        progress = self._progress
        with progress.lock:
            mapped = [f"{n} {ended:,}/{many:,}{left}" for n, ended, many, left in progress.mapped()]
            parts = [f"{progress.flow}: {progress.head()}", *mapped, progress.used()]
        _write("; ".join(filter(None, parts)))

    def end(self, outcome: str) -> None:
        """Write the last line."""
        _write(self._progress.summary(outcome))


def _write(line: str) -> None:
    from prefect.printable import printable  # noqa: PLC0415  # as above

    print(printable(line), file=sys.stderr, flush=True)  # noqa: T201

"""`flow.run(progress=True)`: shows how far the run is, on a terminal, in a notebook, or as lines."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager, suppress

from prefect.core.context import current
from prefect.core.state_kinds import kind_name
from prefect.errors import RenderError
from prefect.printable import duration
from prefect.progress.counts import Counts, watching
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
                token = watching.set(progress.counts)
                try:
                    state = run(flow, parameters, executor, tell, *more)
                finally:
                    watching.reset(token)
                outcome = kind_name(state)
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
            state = kind_name(event.state)
            self.counts.take(event.task_slug, event.map_index, state, event.children)

    def used(self) -> str:
        """Return what it takes of the machine, or nothing where that is not known."""
        if time.monotonic() - self._asked >= _SECONDS_OF_USAGE:
            self._asked = time.monotonic()
            self._used = told(self._usage.now())
        return self._used

    def summary(self, outcome: str) -> str:
        """Return what the run came to."""
        counts = self.counts
        states = ", ".join(f"{count:,} {state}" for state, count in counts.states.items())
        head = f"{self.flow}: {outcome} in {duration(time.monotonic() - counts.began)}"
        return ". ".join(filter(None, (head, states, counts.slow())))


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
            counts = progress.counts
            mapped = [f"{name}: {text}" for name, _, text in counts.parts()]
            parts = [f"{progress.flow}: {counts.head()}", *mapped, progress.used()]
        _write("; ".join(filter(None, parts)))

    def end(self, outcome: str) -> None:
        """Write the last line."""
        _write(self._progress.summary(outcome))


def _write(line: str) -> None:
    from prefect.printable import printable  # noqa: PLC0415  # as above

    with suppress(OSError, ValueError):  # nobody reads it any more, and the run goes on
        print(printable(line), file=sys.stderr, flush=True)  # noqa: T201

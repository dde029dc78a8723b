"""Lets paused tasks go on: when it is time, or once somebody at the terminal says so."""

from __future__ import annotations

import sys

from prefect.core.state import Failed, Retrying
from prefect.core.state_kinds import Paused
from prefect.engine import logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.state import State


def unfinished(label: str, state: State, tries: int) -> Failed | Retrying:
    """Return what becomes of a task that has come to a state which is no end.

    Args:
        label: names the task.
        state: what it has come to.
        tries: how many there have been.
    """
    kind = type(state).__name__
    if not isinstance(state, Paused):
        return Failed(f"state handlers left the task {kind}", state)
    resumed = {"resume": True}
    if state.start_time is not None:
        logs.info(
            "task %r: Paused until %s: %s",
            label,
            state.start_time.isoformat(timespec="seconds"),
            state.message,
        )
        return Retrying(
            state.message, start_time=state.start_time, run_count=tries, context=resumed
        )
    if not (sys.stdin and sys.stdin.isatty()):
        return Failed(
            f"the task is paused ({state.message}), and nobody can be asked: run the flow at a terminal",
            state,
        )
    sys.stderr.write(f"Task {label!r} is paused ({state.message}). Let it go on? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        return Failed("the task was paused, and was not let go on", state)
    return Retrying("the task goes on", run_count=tries, context=resumed)

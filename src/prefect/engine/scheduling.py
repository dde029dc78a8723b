"""Runs a flow at the times of its schedule."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

from prefect.core.parameter_check import check_parameters, expected_by
from prefect.core.shown import show
from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from prefect.core.flow import Flow, Schedule
    from prefect.core.state import State

_LOGGER = "prefect.schedule"
_SLICE = 30.0
"""Seconds after which the clock is read again: it may be set, and the machine may sleep."""
_SHORT_SLICE = 0.05
"""The same outside of the main thread, where a wait cannot be interrupted."""
_LATE = timedelta(minutes=1)
_MOST_AT_ONCE = 16
_MOST_MISSED = 1000


def run_on_schedule(
    flow: Flow,
    once: Callable[[Mapping[str, Any], Mapping[str, Any]], State],
    parameters: Mapping[str, Any],
    context: Mapping[str, Any],
) -> State:
    """Run a flow at each time of its schedule until there is none, and return the last state.

    Args:
        flow: has a schedule.
        once: runs it, with parameters and a context.
        parameters: what the clocks' own come before.
        context: of each run, beside the time that it is for.

    Raises:
        FlowError: the schedule has no more times.
        ParameterError: the parameters are wrong, before anything is waited for.
    """
    flow.validate()
    show(_LOGGER)
    logger = logging.getLogger(_LOGGER)
    state: State | None = None

    def check(given: Mapping[str, Any]) -> None:
        check_parameters(flow.name, expected_by(flow), {**parameters, **given})

    def run(given: Mapping[str, Any], start: datetime) -> None:
        nonlocal state
        state = once({**parameters, **given}, {"scheduled_start_time": start, **context})

    try:
        keep_time(flow.schedule, run, logger.info, logger.warning, check)  # type: ignore[arg-type]  # has one
    except KeyboardInterrupt as stop:
        if getattr(stop, "state", None) is None:
            stop.state = state  # type: ignore[attr-defined]  # for who catches it
        raise
    if state is None:
        raise FlowError(
            f"Flow {flow.name!r} has no more scheduled runs: run it once with run_on_schedule=False"
        )
    return state


def keep_time(
    schedule: Schedule,
    run: Callable[[Mapping[str, Any], datetime], Any],
    say: Callable[[str], None],
    warn: Callable[[str], None],
    check: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Call a function at each time of a schedule until there is none.

    Times are those of the wall clock: none drifts, whatever a run takes. Those that pass during a run are not
    made up for, and said.

    Args:
        schedule: gives the times.
        run: called with the parameters that the clock has for it, and the time; for each of several clocks.
        say: told what is waited for.
        warn: told what was missed.
        check: called with the parameters before the first wait.
    """
    last: datetime | None = None
    while events := _next_events(schedule, last):
        start = events[0].start_time
        if check is not None:
            check(events[0].parameter_defaults)
            check = None
        if last is not None and (missed := _missed(schedule, last, start)):
            warn(missed)
        say(f"next run at {shown(start)}")
        _wait(start)
        if (late := _now() - start) > _LATE:
            warn(
                f"the run of {shown(start)} begins {timedelta(seconds=int(late.total_seconds()))} late"
            )
        last = start
        for event in events:
            run(event.parameter_defaults, start)


def shown(moment: datetime) -> str:
    """Return a moment as people read it, such as 2026-01-31 06:00:00 CET."""
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()}"


def _next_events(schedule: Schedule, last: datetime | None) -> list[Any]:
    """Return the next events, which are of one time, after that of the last run: the clock may have been set back."""
    after = _now()
    found: list[Any] = []
    for count in (_MOST_AT_ONCE, _MOST_MISSED):  # adjustments may bring many before the last run
        for event in schedule.next(count, after=max(after, last or after), return_events=True):
            if last is not None and event.start_time <= last:
                continue
            if found and event.start_time != found[0].start_time:
                break
            found.append(event)
        if found:
            break
    return found


def _missed(schedule: Schedule, last: datetime, until: datetime) -> str | None:
    """Say which times passed during a run; None if none did."""
    times = [each for each in schedule.next(_MOST_MISSED, after=last) if last < each < until]
    if not times:
        return None
    if len(times) == 1:
        return f"missed the run of {shown(times[0])}: the one before it took too long"
    count = f"{len(times)}" if len(times) < _MOST_MISSED - 1 else f"at least {len(times)}"
    return f"missed {count} runs, of {shown(times[0])} to {shown(times[-1])}: the one before them took too long"


def _wait(until: datetime) -> None:
    longest = _SLICE if threading.current_thread() is threading.main_thread() else _SHORT_SLICE
    while (left := (until - _now()).total_seconds()) > 0:
        time.sleep(min(left, longest))


def _now() -> datetime:
    return datetime.now(UTC)

"""Adjustments: functions that move a time at which a flow would run."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from prefect.schedules.filters import is_weekday

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Adjustment: TypeAlias = Callable[[datetime], datetime]


def add(interval: timedelta) -> Adjustment:
    """Return an adjustment that moves a time by an interval."""
    return partial(_add, interval)


def next_weekday(dt: datetime) -> datetime:
    """Return the time on the next day from Monday to Friday, which may be its own."""
    while not is_weekday(dt):
        dt += timedelta(days=1)
    return dt


def _add(interval: timedelta, dt: datetime) -> datetime:
    return dt + interval

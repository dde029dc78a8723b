"""Filters: functions that say of a time whether a flow runs then.

Those that take arguments return a `functools.partial`, which can be pickled and described.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import partial

from prefect.schedules.moments import aware

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Filter: TypeAlias = Callable[[datetime], bool]

_SATURDAY = 5


def on_datetime(dt: datetime) -> Filter:
    """Return a filter that lets one moment through."""
    return partial(_on_datetime, dt)


def between_datetimes(start: datetime, end: datetime) -> Filter:
    """Return a filter that lets moments from one to another through, both included."""
    return partial(_between_datetimes, start, end)


def on_date(month: int, day: int) -> Filter:
    """Return a filter that lets one day of each year through."""
    return partial(_on_date, month, day)


def between_dates(start_month: int, start_day: int, end_month: int, end_day: int) -> Filter:
    """Return a filter that lets some days of each year through, such as from 15 October to 31 March.

    Args:
        start_month: that of the first day, from 1.
        start_day: the first day.
        end_month: that of the last day.
        end_day: the last day, which is included.
    """
    return partial(_between_dates, start_month, start_day, end_month, end_day)


def at_time(t: time) -> Filter:
    """Return a filter that lets one time of the day through."""
    return partial(_at_time, t)


def between_times(start: time, end: time) -> Filter:
    """Return a filter that lets times of the day from one to another through, also over midnight."""
    return partial(_between_times, start, end)


def is_day_of_week(day_of_week: int) -> Filter:
    """Return a filter that lets one day of the week through: 0 is Monday, as of `datetime.weekday`."""
    return partial(_is_day_of_week, day_of_week)


def is_weekday(dt: datetime) -> bool:
    """Tell whether it is Monday to Friday."""
    return dt.weekday() < _SATURDAY


def is_weekend(dt: datetime) -> bool:
    """Tell whether it is Saturday or Sunday."""
    return dt.weekday() >= _SATURDAY


def is_month_start(dt: datetime) -> bool:
    """Tell whether it is the first day of a month."""
    return dt.day == 1


def is_month_end(dt: datetime) -> bool:
    """Tell whether it is the last day of a month."""
    return (dt + timedelta(days=1)).month != dt.month


def _on_datetime(wanted: datetime, dt: datetime) -> bool:
    return aware(dt) == aware(wanted)


def _between_datetimes(start: datetime, end: datetime, dt: datetime) -> bool:
    return aware(start) <= aware(dt) <= aware(end)


def _on_date(month: int, day: int, dt: datetime) -> bool:
    return (dt.month, dt.day) == (month, day)


def _between_dates(
    start_month: int, start_day: int, end_month: int, end_day: int, dt: datetime
) -> bool:
    start, end, date = (start_month, start_day), (end_month, end_day), (dt.month, dt.day)
    if start_month <= end_month:
        return start <= date <= end
    return date >= start or date <= end


def _at_time(wanted: time, dt: datetime) -> bool:
    return dt.time() == wanted


def _between_times(start: time, end: time, dt: datetime) -> bool:
    if start <= end:
        return start <= dt.time() <= end
    return dt.time() >= start or dt.time() <= end


def _is_day_of_week(day_of_week: int, dt: datetime) -> bool:
    return dt.weekday() == day_of_week

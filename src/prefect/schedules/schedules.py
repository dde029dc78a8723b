"""Schedules: the times of clocks, those that pass filters, adjusted."""

from __future__ import annotations

import heapq
from datetime import timedelta
from operator import attrgetter

from prefect.core import check
from prefect.schedules.clocks import Clock, CronClock, IntervalClock, RRuleClock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import Any

    from prefect.schedules.clocks import ClockEvent

_MOST = 10_000


class Schedule:
    """When a flow runs.

    ```python
    from datetime import time, timedelta
    from prefect.schedules import Schedule, filters
    from prefect.schedules.clocks import IntervalClock

    office_hours = Schedule(
        clocks=[IntervalClock(timedelta(minutes=30))],
        filters=[filters.is_weekday, filters.between_times(time(9), time(17))],
    )
    assert all(each.weekday() < 5 for each in office_hours.next(20))
    ```

    Args:
        clocks: each gives times. One that two of them give, with the same parameters, counts once.
        filters: called with a time; all must be true.
        or_filters: one of them must be true, if there are any.
        not_filters: none may be true.
        adjustments: called one after the other with a time that passed; each returns another.

    Raises:
        TypeError: one of them is of another type.
    """

    def __init__(
        self,
        clocks: Iterable[Clock],
        filters: Iterable[Callable[[datetime], bool]] | None = None,
        or_filters: Iterable[Callable[[datetime], bool]] | None = None,
        not_filters: Iterable[Callable[[datetime], bool]] | None = None,
        adjustments: Iterable[Callable[[datetime], datetime]] | None = None,
    ) -> None:
        self.clocks: list[Clock] = []
        for each in check.listed("clocks", "clocks", clocks):
            if not callable(getattr(each, "events", None)):
                raise check.wrong("Each of clocks", "a Clock of prefect.schedules.clocks", each)
            self.clocks.append(each)
        self.filters = _functions("filters", filters)
        self.or_filters = _functions("or_filters", or_filters)
        self.not_filters = _functions("not_filters", not_filters)
        self.adjustments = _functions("adjustments", adjustments)

    @property
    def start_date(self) -> datetime | None:
        """The earliest of its clocks, if they have any."""
        return min((each.start_date for each in self.clocks if each.start_date), default=None)

    @property
    def end_date(self) -> datetime | None:
        """The latest of its clocks, if they have any."""
        return max((each.end_date for each in self.clocks if each.end_date), default=None)

    def next(self, n: int, after: datetime | None = None, return_events: bool = False) -> list[Any]:
        """Return the next times; fewer where 10,000 of the clocks have less that pass the filters.

        Args:
            n: how many.
            after: all are after it, before adjustments. None means now.
            return_events: whether to return events, with their parameters, in place of times.
        """
        found: list[Any] = []
        for number, event in enumerate(self._events(after)):
            if len(found) >= n or number >= _MOST:
                break
            if self._passes(event.start_time):
                for adjust in self.adjustments:
                    event.start_time = adjust(event.start_time)
                found.append(event if return_events else event.start_time)
        return found

    def serialize(self) -> dict[str, Any]:
        """Describe it in plain JSON values; functions of one's own by their names."""
        from prefect.schedules.described import described  # noqa: PLC0415  # for packaging alone

        return described(self)

    def _events(self, after: datetime | None) -> Iterator[ClockEvent]:
        last: ClockEvent | None = None
        clocks = (clock.events(after) for clock in self.clocks)
        for event in heapq.merge(*clocks, key=attrgetter("start_time")):
            if event != last:
                yield event
            last = event

    def _passes(self, time: datetime) -> bool:
        return (
            all(passes(time) for passes in self.filters)
            and (not self.or_filters or any(passes(time) for passes in self.or_filters))
            and not any(passes(time) for passes in self.not_filters)
        )


def IntervalSchedule(  # noqa: N802  # classic Prefect's name
    start_date: datetime | None = None,
    interval: timedelta | None = None,
    end_date: datetime | None = None,
) -> Schedule:
    """Return the schedule of one `IntervalClock`.

    Args:
        start_date: the first time.
        interval: between times.
        end_date: no time is after it.

    Raises:
        TypeError, ValueError: the interval is none.
    """
    if isinstance(start_date, timedelta):
        raise TypeError(
            "IntervalSchedule's first argument is start_date; give the interval by its name: interval="
        )
    return Schedule([IntervalClock(interval, start_date, end_date)])  # type: ignore[arg-type]  # None is refused there


def CronSchedule(  # noqa: N802  # classic Prefect's name
    cron: str,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    day_or: bool | None = None,
) -> Schedule:
    """Return the schedule of one `CronClock`.

    Args:
        cron: such as "0 6 * * 1-5".
        start_date: no time is before it; its time zone is that of all times.
        end_date: no time is after it.
        day_or: as of `CronClock`.
    """
    return Schedule([CronClock(cron, start_date, end_date, day_or=day_or)])


def RRuleSchedule(  # noqa: N802  # classic Prefect's name
    rrule_obj: Any, start_date: datetime | None = None, end_date: datetime | None = None
) -> Schedule:
    """Return the schedule of one `RRuleClock`.

    Args:
        rrule_obj: a rule or a set of rules of `dateutil.rrule`.
        start_date: no time is before it.
        end_date: no time is after it.
    """
    return Schedule([RRuleClock(rrule_obj, start_date, end_date)])


def _functions(what: str, given: Iterable[Any] | None) -> list[Any]:
    if given is None:
        return []
    return [
        check.function(f"Each of {what}", each) for each in check.listed(what, "functions", given)
    ]

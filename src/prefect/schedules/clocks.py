"""Clocks: each gives the times of one rhythm, endlessly or between two dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from math import floor

from prefect.core import check
from prefect.schedules.moments import aware, moment_of, on_wall_clock, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_FIRST = datetime(2019, 1, 1, tzinfo=UTC)
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_WITH_SECONDS = 6


class ClockEvent:
    """A time at which a flow is to run.

    Args:
        start_time: the time.
        parameter_defaults: values of parameters for that run.
        labels: kept; nothing here reads them.
    """

    def __init__(
        self,
        start_time: datetime,
        parameter_defaults: Mapping[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.start_time = start_time
        self.parameter_defaults = dict(parameter_defaults or {})
        self.labels = labels

    def __eq__(self, other: object) -> bool:
        if isinstance(other, datetime):
            return self.start_time == other
        return isinstance(other, ClockEvent) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # its parameters can change

    def __lt__(self, other: ClockEvent | datetime) -> bool:
        return self.start_time < (other.start_time if isinstance(other, ClockEvent) else other)

    def __gt__(self, other: ClockEvent | datetime) -> bool:
        return self.start_time > (other.start_time if isinstance(other, ClockEvent) else other)

    def __repr__(self) -> str:
        return f"<ClockEvent: {self.start_time.isoformat()}>"


class Clock:
    """What all clocks have.

    Args:
        start_date: no time is before it. Without a time zone it is in UTC.
        end_date: no time is after it.
        parameter_defaults: values of parameters for the runs at this clock's times.
        labels: kept; nothing here reads them.
    """

    def __init__(
        self,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        parameter_defaults: Mapping[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.start_date = _moment("start_date", start_date)
        self.end_date = _moment("end_date", end_date)
        self.parameter_defaults: dict[str, Any] = (
            {}
            if parameter_defaults is None
            else dict(check.mapping("parameter_defaults", "names and values", parameter_defaults))
        )
        self.labels = labels

    def __getstate__(self) -> dict[str, Any]:
        # Moments as text, so that a place without tzdata loads the flow.
        return {name: _with_text(value) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: _without_text(value) for name, value in state.items()})

    def events(self, after: datetime | None = None) -> Iterator[ClockEvent]:
        """Yield the events, in order.

        Args:
            after: where to begin; the event of that very time is not among them. None means now.
        """
        after = datetime.now(UTC) if after is None else aware(after)
        for time in self.times(after):
            if self.end_date is not None and time > self.end_date:
                return
            yield ClockEvent(time, self.parameter_defaults, self.labels)

    def times(self, after: datetime) -> Iterable[datetime]:
        """Return the times after one, in order; `end_date` is seen to elsewhere."""
        raise NotImplementedError(f"{type(self).__name__} is a Clock without times()")


class IntervalClock(Clock):
    """Times that are as far from each other as an interval, counted from a first one.

    Intervals of a day or more keep the hour of their time zone when its clocks change; shorter ones
    are so long by any clock.

    Args:
        interval: more than nothing.
        start_date: the first; by default the first moment of 2019, in UTC.
        end_date: as of `Clock`.
        parameter_defaults: as of `Clock`.
        labels: as of `Clock`.

    Raises:
        TypeError, ValueError: the interval is none.
    """

    def __init__(
        self,
        interval: timedelta,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        parameter_defaults: Mapping[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        if not isinstance(interval, timedelta):
            raise check.wrong("A clock's interval", "a timedelta", interval)
        if interval <= timedelta():
            raise ValueError(f"A clock's interval is more than nothing, not {interval}")
        self.interval = timedelta(interval.days, interval.seconds, interval.microseconds)
        super().__init__(start_date, end_date, parameter_defaults, labels)

    def times(self, after: datetime) -> Iterator[datetime]:
        """Yield the times after one."""
        start = self.start_date or _FIRST
        zone = start.tzinfo or UTC
        wall, start = start.replace(tzinfo=None), start.astimezone(UTC)
        count = max(0, floor((after - start) / self.interval) - 1)  # a day may have 25 hours
        while True:
            if self.interval < _DAY:
                time = (start + count * self.interval).astimezone(zone)
            else:
                time = on_wall_clock(wall + count * self.interval, zone)
            if time > after:
                yield time
            count += 1


class CronClock(Clock):
    """Times as cron has them, by the wall clock of a time zone.

    When clocks go back, a time that comes twice counts once, the second time; when they go forward, one
    that they jump over comes at once.

    Args:
        cron: minute, hour, day of the month, month and day of the week, such as "0 6 * * 1-5", or @daily and the
            like; a sixth field is seconds.
        start_date: as of `Clock`; its time zone is that of all times.
        end_date: as of `Clock`.
        parameter_defaults: as of `Clock`.
        labels: as of `Clock`.
        day_or: whether one of both is enough where days of the month and of the week are given, as cron has it.

    Raises:
        ValueError: it is no such text.
    """

    def __init__(
        self,
        cron: str,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        parameter_defaults: Mapping[str, Any] | None = None,
        labels: list[str] | None = None,
        day_or: bool | None = None,
    ) -> None:
        self.cron = check.text("cron", cron)
        self.day_or = True if day_or is None else check.flag("day_or", day_or)
        super().__init__(start_date, end_date, parameter_defaults, labels)
        self._times(_FIRST.replace(tzinfo=None))

    @property
    def zone(self) -> tzinfo:
        """That of all times."""
        return (self.start_date and self.start_date.tzinfo) or UTC

    def times(self, after: datetime) -> Iterator[datetime]:
        """Yield the times after one."""
        if self.start_date is not None:
            after = max(after, self.start_date - timedelta(microseconds=1))
        last = after
        # A moment of the wall clock may be one before `after`, which is why it is asked for from a day earlier on.
        for wall in self._times((after.astimezone(self.zone) - _DAY).replace(tzinfo=None)):
            time = on_wall_clock(wall, self.zone, first_after_gap=True)
            if time > last:
                last = time
                yield time

    def _times(self, after: datetime) -> Iterator[datetime]:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415  # for cron alone

        text = _MACROS.get(self.cron.strip().lower(), self.cron).replace("?", "*")
        fields = text.split()
        if len(fields) == _WITH_SECONDS:
            fields = [fields[-1], *fields[:-1]]
        try:
            found = CronSim(" ".join(fields), after)
        except CronSimError as error:
            raise ValueError(
                f"{self.cron!r} is no schedule of cron: {str(error).lower()}. Write minute, hour, day of the "
                "month, month and day of the week, such as '0 6 * * 1-5' for six in the morning"
            ) from error
        found.day_and = not (self.day_or and "*" not in fields[-3::2])
        return found


class DatesClock(Clock):
    """Times that are listed.

    Args:
        dates: the times. Without a time zone they are in UTC.
        parameter_defaults: as of `Clock`.
        labels: as of `Clock`.

    Raises:
        TypeError, ValueError: there are none.
    """

    def __init__(
        self,
        dates: Iterable[datetime],
        parameter_defaults: Mapping[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        self.dates: list[datetime] = []
        for each in check.listed("dates", "datetimes", dates):
            if (moment := _moment("Each of dates", each)) is not None:
                self.dates.append(moment)
        if not self.dates:
            raise ValueError("A DatesClock has dates, and was given none")
        super().__init__(min(self.dates), max(self.dates), parameter_defaults, labels)

    def times(self, after: datetime) -> list[datetime]:
        """Return the times after one."""
        return [each for each in sorted(self.dates) if each > after]


class RRuleClock(Clock):
    """Times of a recurrence rule.

    Args:
        rrule_obj: a rule or a set of rules of `dateutil.rrule`.
        start_date: as of `Clock`.
        end_date: as of `Clock`.
        parameter_defaults: as of `Clock`.
        labels: as of `Clock`.

    Raises:
        TypeError: it is none.
    """

    def __init__(
        self,
        rrule_obj: Any,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        parameter_defaults: Mapping[str, Any] | None = None,
        labels: list[str] | None = None,
    ) -> None:
        if not hasattr(rrule_obj, "xafter"):
            raise check.wrong("rrule_obj", "an rrule or rruleset of dateutil.rrule", rrule_obj)
        self.rrule_obj = rrule_obj
        super().__init__(start_date, end_date, parameter_defaults, labels)

    def times(self, after: datetime) -> Iterator[datetime]:
        """Yield the times after one."""
        inclusive = self.start_date is not None and after < self.start_date
        if inclusive and self.start_date is not None:
            after = self.start_date
        first = next(iter(self.rrule_obj), None)
        if first is not None and first.tzinfo is None:  # a rule without a zone is in UTC
            after = after.astimezone(UTC).replace(tzinfo=None)
        yield from map(aware, self.rrule_obj.xafter(after, inc=inclusive))


class _Text(str):
    """A moment as text."""

    __slots__ = ()


def _with_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_text(each) for each in value]
    return _Text(text_of(value)) if isinstance(value, datetime) else value


def _without_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_text(each) for each in value]
    return moment_of(value) if isinstance(value, _Text) else value


def _moment(what: str, value: Any) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise check.wrong(what, "a datetime", value)
    return aware(value)

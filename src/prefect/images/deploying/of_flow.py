"""A flow's own schedule, as its manifest has it, as one that a platform keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prefect.images.deploying.schedule import Calendar, Schedule, parse_schedule
from prefect.schedules.described import restored
from prefect.schedules.moments import zone_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.schedules.clocks import Clock

_DAY, _HOUR, _MINUTE = 86400, 3600, 60
_FIRST = datetime(2019, 1, 1, tzinfo=UTC)
_GIVE = "Give one with --schedule"


def schedule_of(
    described: Mapping[str, Any], *, one: bool
) -> tuple[Schedule | Calendar, dict[str, Any]]:
    """Return what a platform keeps for a described schedule, and the parameters of its clocks.

    Args:
        described: as a manifest has it.
        one: whether the platform takes but one schedule of cron.

    Raises:
        ValueError: it cannot be expressed there; the message says why.
    """
    for kind in ("filters", "or_filters", "not_filters", "adjustments"):
        if described.get(kind):
            raise _cannot(f"has {kind.replace('_', ' ')}, which are functions")
    clocks = restored(described).clocks
    defaults = clocks[0].parameter_defaults if clocks else {}
    if any(clock.parameter_defaults != defaults for clock in clocks):
        raise _cannot("has clocks with parameters of their own, and a job has one set of them")
    now = datetime.now(UTC)
    if one and len(clocks) != 1:
        raise _cannot(f"has {len(clocks)} clocks, and a CronJob has one schedule")
    if one:
        return _cron(clocks[0], now), defaults
    events = [event for clock in clocks for event in _events(clock, now)]
    if not events:
        raise _cannot("has no more times")
    return Calendar(tuple(events)), defaults


def _cannot(why: str) -> ValueError:
    return ValueError(f"The flow's own schedule {why}. {_GIVE}")


def _events(clock: Clock, now: datetime) -> list[str]:
    dates = getattr(clock, "dates", None)
    if dates is None:
        return _cron(clock, now).calendar()
    return [
        f"{each.astimezone(UTC):%Y-%m-%d %H:%M:%S} Etc/UTC" for each in sorted(dates) if each > now
    ]


def _cron(clock: Clock, now: datetime) -> Schedule:
    """Return a clock as a schedule of cron."""
    if hasattr(clock, "dates"):
        raise _cannot("is one of dates, and cron has rhythms")
    if clock.end_date is not None:
        raise _cannot(f"ends ({clock.end_date}), and the platform's does not")
    start = clock.start_date or _FIRST
    if start > now:
        raise _cannot(f"begins later ({start}), and the platform's at once")
    cron = getattr(clock, "cron", None)
    text = _rhythm(clock.interval, start) if cron is None else cron  # type: ignore[attr-defined]  # of the other kind
    zone = zone_name(start.tzinfo)
    if zone is None:
        if start.utcoffset():
            raise _cannot(f"is in a time zone without a name ({start.tzname()})")
        zone = "UTC"
    short = cron is None and clock.interval < timedelta(days=1)  # type: ignore[attr-defined]  # as above
    try:
        found = parse_schedule(text, None if short or zone == "UTC" else zone)
    except ValueError as error:
        raise _cannot(f"is one that platforms do not take. {error}") from error
    if cron is not None and found.both_days and found.either_day != clock.day_or:  # type: ignore[attr-defined]  # of this kind
        either = "both" if found.either_day else "either"
        raise _cannot(
            f"{cron!r} means days that are {either} of the month's and of the week's, and there it is otherwise"
        )
    return found


def _rhythm(interval: timedelta, start: datetime) -> str:
    """Return an interval from a moment on as cron's fields, where it has them."""
    seconds = interval.total_seconds()
    if start.second or start.microsecond or seconds % _MINUTE:
        raise _cannot("is to the second, and cron is to the minute")
    at_time = f"{start.minute} {start.hour}"
    if seconds == _DAY:
        return f"{at_time} * * *"
    if seconds == 7 * _DAY:
        return f"{at_time} * * {start.isoweekday() % 7}"
    utc = start.astimezone(UTC)
    if seconds < _HOUR and _HOUR % seconds == 0:
        return f"{_steps(utc.minute, int(seconds) // _MINUTE, 60)} * * * *"
    if seconds % _HOUR == 0 and _DAY % seconds == 0:
        return f"{utc.minute} {_steps(utc.hour, int(seconds) // _HOUR, 24)} * * *"
    raise _cannot(
        f"is every {interval}, and cron has minutes that divide an hour, hours that divide a day, days and weeks"
    )


def _steps(first: int, step: int, end: int) -> str:
    if step == 1:
        return "*"
    first %= step
    return f"*/{step}" if not first else ",".join(map(str, range(first, end, step)))

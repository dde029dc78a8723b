"""Schedules as cron has them, and the same as systemd's calendar events."""

from __future__ import annotations

import re
import zoneinfo

from prefect.frozen import frozen
from prefect.patterns import pattern

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Each field's name, least and greatest value, and the names of values from the least on.
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),  # 7 is Sunday, too
)
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ITEM = pattern(r"(?:(?P<all>[*?])|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,2}))?")
_ZONE = pattern(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")
_SUNDAY = 7
UTC = "Etc/UTC"


@frozen
class Schedule:
    """When a job runs, to the minute.

    Args:
        fields: those of cron, as they were written.
        values: of each field, all that it means; Sunday is 0.
        zone: of the clock that it is about, such as "Europe/Berlin".
    """

    fields: tuple[str, ...]
    values: tuple[frozenset[int], ...]
    zone: str = UTC

    @property
    def cron(self) -> str:
        """Five fields that Kubernetes reads, whose Sunday is 0 alone."""
        *fields, days = self.fields
        if re.search(r"\b7\b", days):
            days = ",".join(map(str, sorted(self.values[-1])))
        return " ".join([*fields, days])

    @property
    def either_day(self) -> bool:
        """Whether it runs on days of the month and, besides, on days of the week."""
        return not any(self.fields[n].startswith(("*", "?")) for n in (2, 4))

    @property
    def both_days(self) -> bool:
        """Whether it says days of the month and days of the week."""
        return not any(self.fields[n] in {"*", "?"} for n in (2, 4))

    def calendar(self) -> list[str]:
        """Return systemd's calendar events, which together are the same."""
        minutes, hours, dates, months, days = (
            _listed(values, least, greatest)
            for values, (_, least, greatest, _) in zip(self.values, _FIELDS, strict=True)
        )
        weekdays = ""
        if days != "*":
            weekdays = ",".join(_DAYS[n].title() for n in sorted(self.values[-1])) + " "
        time = f"{hours}:{minutes}:00 {self.zone}"
        if self.either_day:
            return [f"*-{months}-{dates} {time}", f"{weekdays}*-{months}-* {time}"]
        return [f"{weekdays}*-{months}-{dates} {time}"]


@frozen
class Calendar:
    """When a job runs, as nothing but systemd has it.

    Args:
        events: systemd's calendar events.
    """

    events: tuple[str, ...]

    def calendar(self) -> list[str]:
        """Return the events."""
        return list(self.events)


def _listed(values: frozenset[int], least: int, greatest: int) -> str:
    everything = frozenset(range(least, greatest + (greatest != _SUNDAY)))
    return "*" if values == everything else ",".join(f"{n:02}" for n in sorted(values))


def parse_schedule(text: str, zone: str | None = None) -> Schedule:
    """Read a schedule such as "0 6 * * *" or "@daily".

    Args:
        zone: of tzdata; None means UTC.

    Raises:
        ValueError: it is no schedule, never comes, or there is no such zone.
    """
    zone = UTC if zone is None else _zone(zone)
    fields = tuple(_MACROS.get(text.strip().lower(), text).split())
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"{text!r} is no schedule: write minute, hour, day of the month, month and day of the "
            "week, such as '0 6 * * *' for six in the morning, or @hourly, @daily, @weekly, @monthly"
        )
    values = [_values(field, text, *kind) for field, kind in zip(fields, _FIELDS, strict=True)]
    values[-1] = frozenset(n % _SUNDAY for n in values[-1])
    schedule = Schedule(fields, tuple(values), zone)
    _, _, dates, months, _ = values
    comes = any(date <= _LONGEST_MONTHS[month - 1] for month in months for date in dates)
    if not (comes or schedule.either_day):
        raise ValueError(f"The schedule {text!r} never comes: no such month has such a day")
    return schedule


def _values(
    field: str, schedule: str, name: str, least: int, greatest: int, names: tuple[str, ...]
) -> frozenset[int]:
    found: set[int] = set()
    for item in field.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise _wrong(schedule, name, item, least, greatest)
        step = int(match["step"] or 1)
        if match["all"]:
            first, last = least, greatest if greatest != _SUNDAY else _SUNDAY - 1
        else:
            first, last = (
                _number(word, names, least)
                for word in (match["first"], match["last"] or match["first"])
            )
            if match["step"] and not match["last"]:
                last = greatest
        if not (step and least <= first <= last <= greatest):
            raise _wrong(schedule, name, item, least, greatest)
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(word: str, names: tuple[str, ...], least: int) -> int:
    if word.lower() in names:
        return least + names.index(word.lower())
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 2 else -1  # noqa: PLR2004


def _wrong(schedule: str, name: str, item: str, least: int, greatest: int) -> ValueError:
    return ValueError(
        f"The schedule {schedule!r} has {item!r} as {name}: write {least} to {greatest}, a range as "
        f"{least}-{greatest}, steps as */2, or several with commas"
    )


def _zone(text: str) -> str:
    known = zoneinfo.available_timezones()  # none where a machine has no tzdata
    if not _ZONE.fullmatch(text) or (known and text not in known):
        raise ValueError(f"There is no time zone {text!r}: write one such as Europe/Berlin")
    return text

"""Moments in time zones: from what people give, from times of a wall clock, and as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo

_MINUTE = timedelta(minutes=1)


def aware(moment: datetime) -> datetime:
    """Return a plain datetime in its time zone; one without a zone is in UTC."""
    return moment.replace(tzinfo=_plain(moment)) if type(moment) is datetime else datetime(
        moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second,
        moment.microsecond, _plain(moment), fold=moment.fold,
    )  # fmt: skip


def _plain(moment: datetime) -> tzinfo:
    """Return a moment's zone as one of the standard library's, where it is known by name."""
    zone, offset = moment.tzinfo, moment.utcoffset()
    if zone is None or zone is UTC or offset is None:
        return UTC
    name = zone_name(zone)
    if name is None or isinstance(zone, timezone):
        return timezone(offset)
    return UTC if name in {"UTC", "Etc/UTC"} else _zone(name, offset)


def zone_name(zone: tzinfo | None) -> str | None:
    """Return the name in tzdata of a time zone of zoneinfo, pendulum or pytz; None where it has none."""
    if zone is UTC:
        return "UTC"
    names = (getattr(zone, name, None) for name in ("key", "name", "zone"))
    return next((each for each in names if isinstance(each, str) and each[:1].isalpha()), None)


def _zone(name: str, offset: timedelta) -> tzinfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415  # slow to import

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a place without tzdata loads the flow all the same
        return timezone(offset)


def on_wall_clock(moment: datetime, zone: tzinfo, *, first_after_gap: bool = False) -> datetime:
    """Return when a clock on a wall shows a time, as classic Prefect took it.

    Of two moments it is the second. A time that a clock jumps over comes as much later as it jumps, or when it has
    jumped.

    Args:
        moment: without a time zone.
        zone: where the wall is.
        first_after_gap: whether a time that is jumped over comes at once.
    """
    found = moment.replace(tzinfo=zone, fold=0)
    if zone is UTC:
        return found
    second = found.replace(fold=1)
    if found.utcoffset() == second.utcoffset():
        return found
    if _exists(found):
        return second
    while first_after_gap and not _exists(found):
        found += _MINUTE
    return found.astimezone(UTC).astimezone(zone)


def _exists(moment: datetime) -> bool:
    back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return back.replace(tzinfo=None) == moment.replace(tzinfo=None)


def text_of(moment: datetime) -> str:
    """Return a moment as text, such as 2026-10-25T02:30:00+01:00[Europe/Berlin] (RFC 9557)."""
    name = zone_name(moment.tzinfo)
    return moment.isoformat() + (f"[{name}]" if name not in {None, "UTC"} else "")


def moment_of(text: str) -> datetime:
    """Return the moment that `text_of` gave a text for.

    Raises:
        ValueError: it is none.
    """
    time, _, name = text.partition("[")
    moment = datetime.fromisoformat(time)
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError(f"{text!r} is no moment: it has no offset from UTC")
    if not offset and not name:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(_zone(name.rstrip("]"), offset)) if name else moment

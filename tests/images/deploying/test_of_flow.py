"""`prefect.images.deploying.of_flow`: a flow's own schedule, kept by a platform."""

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from prefect.images.deploying.of_flow import schedule_of
from prefect.schedules import CronSchedule, IntervalSchedule, Schedule, adjustments, filters
from prefect.schedules.clocks import CronClock, DatesClock, IntervalClock

PAST = datetime(2026, 1, 5, 6, 20, tzinfo=UTC)  # a Monday
BERLIN = PAST.replace(tzinfo=ZoneInfo("Europe/Berlin"))
LATER = datetime(2126, 1, 1, tzinfo=UTC)


def every(start=PAST, **duration):
    """Return the schedule of an interval."""
    return IntervalSchedule(start, timedelta(**duration))


@pytest.mark.parametrize(
    ("schedule", "cron", "zone"),
    [
        (CronSchedule("0 6 * * 1-5"), "0 6 * * 1-5", "Etc/UTC"),
        (CronSchedule("0 6 * * 1-5", BERLIN), "0 6 * * 1-5", "Europe/Berlin"),
        (CronSchedule("@daily"), "0 0 * * *", "Etc/UTC"),
        (CronSchedule("0 0 13 * fri"), "0 0 13 * fri", "Etc/UTC"),
        (every(minutes=15), "5,20,35,50 * * * *", "Etc/UTC"),
        (every(minutes=1), "* * * * *", "Etc/UTC"),
        (every(start=None, minutes=30), "*/30 * * * *", "Etc/UTC"),
        (every(hours=1), "20 * * * *", "Etc/UTC"),
        (every(hours=4), "20 2,6,10,14,18,22 * * *", "Etc/UTC"),
        (every(start=None, hours=6), "0 */6 * * *", "Etc/UTC"),
        (every(BERLIN, hours=12), "20 5,17 * * *", "Etc/UTC"),
        (every(days=1), "20 6 * * *", "Etc/UTC"),
        (every(BERLIN, days=1), "20 6 * * *", "Europe/Berlin"),
        (every(BERLIN, days=7), "20 6 * * 1", "Europe/Berlin"),
    ],
)
def test_it_is_a_schedule_of_cron(schedule, cron, zone):
    """Cron clocks, and intervals that cron has, are one schedule with a time zone, whose times are the same."""
    kept, parameters = schedule_of(schedule.serialize(), one=True)
    assert (kept.cron, kept.zone, parameters) == (cron, zone, {})
    start = PAST.replace(tzinfo=ZoneInfo(zone))
    after = datetime(2026, 6, 1, tzinfo=UTC)
    assert CronSchedule(cron, start).next(40, after) == schedule.next(40, after)


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        (Schedule([CronClock("0 6 * * *")], filters=[filters.is_weekday]), "has filters"),
        (Schedule([CronClock("0 6 * * *")], or_filters=[filters.at_time(time(6))]), "or filters"),
        (Schedule([CronClock("0 6 * * *")], adjustments=[adjustments.next_weekday]), "adjustments"),
        (Schedule([CronClock("0 6 * * *"), CronClock("0 7 * * *")]), "has 2 clocks"),
        (Schedule([]), "has 0 clocks"),
        (Schedule([DatesClock([LATER])]), "is one of dates"),
        (CronSchedule("0 6 * * *", end_date=LATER), "ends"),
        (CronSchedule("0 6 * * *", LATER), "begins later"),
        (CronSchedule("0 6 * * * 30"), "is one that platforms do not take"),
        (CronSchedule("0 6 L * *"), "is one that platforms do not take"),
        (CronSchedule("0 0 13 * fri", day_or=False), "days that are both"),
        (CronSchedule("0 0 */10 * 1"), "days that are either"),
        (
            CronSchedule("0 6 * * *", PAST.astimezone(timezone(timedelta(hours=3)))),
            "without a name",
        ),
        (every(minutes=90), "is every 1:30:00"),
        (every(days=2), "is every 2 days"),
        (every(seconds=90), "is to the second"),
        (every(PAST + timedelta(seconds=5), days=1), "is to the second"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_reason(schedule, why):
    """The error says what of the schedule a CronJob does not have, and what to give instead."""
    with pytest.raises(ValueError, match=rf"own schedule .*{why}.*--schedule"):
        schedule_of(schedule.serialize(), one=True)


def test_a_timer_has_several_clocks_and_dates():
    """Systemd's timer has events of each clock, and dates that are still to come."""
    schedule = Schedule(
        [
            CronClock("0 6 * * 1", BERLIN),
            DatesClock([PAST, LATER]),
            IntervalClock(timedelta(days=1)),
        ]
    )
    kept, _ = schedule_of(schedule.serialize(), one=False)
    assert kept.calendar() == [
        "Mon *-*-* 06:00:00 Europe/Berlin",
        "2126-01-01 00:00:00 Etc/UTC",
        "*-*-* 00:00:00 Etc/UTC",
    ]
    with pytest.raises(ValueError, match="no more times"):
        schedule_of(Schedule([DatesClock([PAST])]).serialize(), one=False)


def test_a_clocks_parameters_are_the_jobs():
    """They come with it; clocks that differ in them are refused."""
    clock = IntervalClock(timedelta(days=1), parameter_defaults={"x": 1})
    assert schedule_of(Schedule([clock]).serialize(), one=True)[1] == {"x": 1}
    with pytest.raises(ValueError, match="parameters of their own"):
        schedule_of(Schedule([clock, CronClock("0 6 * * *")]).serialize(), one=False)

"""When flows run."""

import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pendulum
import pytest
from dateutil import rrule

from prefect import Flow, Parameter, task
from prefect.environments import PickleEnvironment
from prefect.errors import FlowError
from prefect.schedules import (
    CronSchedule,
    IntervalSchedule,
    RRuleSchedule,
    Schedule,
    adjustments,
    filters,
    moments,
)
from prefect.schedules.clocks import Clock, CronClock, DatesClock, IntervalClock, RRuleClock
from prefect.schedules.described import restored

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def own_filter(moment):
    """Let all through."""
    return True


SCHEDULES = [
    IntervalSchedule(interval=timedelta(minutes=90)),
    IntervalSchedule(datetime(2026, 3, 1, 2, 30, tzinfo=BERLIN), timedelta(days=1)),
    IntervalSchedule(NEW_YEAR, timedelta(seconds=7.5), NEW_YEAR + timedelta(days=1)),
    CronSchedule("0 6 * * 1-5", start_date=datetime(2026, 1, 1, tzinfo=BERLIN)),
    CronSchedule("0 0 13 * fri", day_or=False),
    Schedule([DatesClock([NEW_YEAR, datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)])]),
    Schedule([IntervalClock(timedelta(days=1), parameter_defaults={"x": [1, None], "y": "a"})]),
    Schedule(
        [CronClock("*/10 * * * *")],
        filters=[filters.is_weekday, filters.between_times(time(9), time(17))],
        or_filters=[filters.on_date(1, 2), filters.on_datetime(NEW_YEAR + timedelta(days=4))],
        not_filters=[filters.between_datetimes(NEW_YEAR, datetime(2026, 1, 2, 10, tzinfo=BERLIN))],
        adjustments=[adjustments.add(timedelta(hours=1)), adjustments.next_weekday],
    ),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_its_description_gives_the_same_times(schedule):
    """What a manifest has of a schedule is plain JSON, of which one is made that gives the same events."""
    again = restored(json.loads(json.dumps(schedule.serialize())))
    events = schedule.next(6, after=NEW_YEAR - timedelta(days=1), return_events=True)
    assert events
    assert again.next(6, after=NEW_YEAR - timedelta(days=1), return_events=True) == events
    assert again.serialize() == schedule.serialize()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_can_be_pickled(schedule):
    """A pickled schedule gives the same times, with their time zones."""
    times = schedule.next(3, after=NEW_YEAR)
    again = pickle.loads(pickle.dumps(schedule)).next(3, after=NEW_YEAR)
    assert [each.isoformat() for each in again] == [each.isoformat() for each in times]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Schedule([CronClock("0 6 * * *")], filters=[own_filter]), "own_filter"),
        (RRuleSchedule(rrule.rrule(rrule.DAILY, dtstart=NEW_YEAR)), "RRuleClock"),
        (Schedule([CronClock("0 6 * * *", parameter_defaults={"x": {1}})]), "CronClock"),
        (Schedule([type("Own", (Clock,), {})()]), "Own"),
    ],
)
def test_what_is_in_the_flow_alone_is_named(schedule, said):
    """A function, a clock or a value of one's own is described by its name, of which no schedule is made."""
    assert said in json.dumps(schedule.serialize())
    with pytest.raises(FlowError, match=f"{said} is in the flow alone"):
        restored(schedule.serialize())


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"clocks": 5},
        {"clocks": [{"type": "Clock"}]},
        {"clocks": [{"type": "IntervalClock", "interval": -1}]},
        {"clocks": [{"type": "CronClock", "cron": "bad", "day_or": True}]},
        {"clocks": [{"type": "DatesClock", "dates": ["2026-01-01T00:00:00"]}]},
        {"clocks": [], "filters": [{"name": "timedelta", "arguments": [1]}]},
        {"clocks": [], "filters": [{"name": "_at_time"}]},
        {"clocks": [], "filters": [{"name": "aware"}]},
    ],
)
def test_a_wrong_description_is_refused(description):
    """A manifest is anybody's text: nothing but what is meant is called, and the error is one of a flow."""
    with pytest.raises(FlowError):
        restored(description)


def test_it_travels_with_a_flow():
    """A sealed flow's manifest has its schedule, and so has the flow that comes out; without one there is no word."""
    with Flow("f", schedule=SCHEDULES[3]) as flow:
        task(lambda x: x, name="t")(Parameter("x", default=1))
    assert "schedule" not in Flow("g").serialize()
    environment = PickleEnvironment()
    packaged = environment.build(flow)
    described = environment.info(packaged)["schedule"]
    assert described == {
        "clocks": [
            {
                "type": "CronClock",
                "cron": "0 6 * * 1-5",
                "day_or": True,
                "start_date": "2026-01-01T00:00:00+01:00[Europe/Berlin]",
            }
        ]
    }
    assert environment.run(packaged).is_successful()  # once: who runs it keeps the time
    assert flow.copy().schedule is flow.schedule
    assert pickle.loads(pickle.dumps(Flow("h"))).schedule is None


def test_a_place_without_time_zones_loads_it(monkeypatch):
    """Where there is no tzdata, a flow's schedule has its times at the offset that they were written with."""
    pickled = pickle.dumps(SCHEDULES[1])
    monkeypatch.setattr("zoneinfo.ZoneInfo", _no_zone)
    start = pickle.loads(pickled).start_date
    assert start.isoformat() == "2026-03-01T02:30:00+01:00"
    assert start.tzinfo == timezone(timedelta(hours=1))


def _no_zone(name):
    raise KeyError(name)


def test_cronsim_is_imported_for_cron_alone():
    """Intervals and dates need no library, and `import prefect` no schedules."""
    code = """
import sys, datetime, prefect
from prefect import Flow
Flow("f").serialize()
assert not any(each.startswith("prefect.schedules") for each in sys.modules)
from prefect.schedules import IntervalSchedule, CronSchedule
IntervalSchedule(interval=datetime.timedelta(1)).next(3)
assert "cronsim" not in sys.modules
CronSchedule("0 6 * * *")
assert "cronsim" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "start",
    [
        pendulum.datetime(2026, 1, 1, tz="Europe/Berlin"),
        datetime(2026, 1, 1, tzinfo=BERLIN),
    ],
)
def test_time_zones_are_those_of_the_standard_library(start):
    """A date of pendulum's gives a plain datetime of the same zone, which needs no pendulum where it is loaded."""
    clock = CronClock("0 6 * * *", start_date=start)
    assert type(clock.start_date) is datetime
    assert clock.start_date.tzinfo is BERLIN
    assert b"pendulum" not in pickle.dumps(clock)


def test_a_zone_without_a_name_is_an_offset():
    """A fixed offset stays one, also as text."""
    moment = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-3)))
    assert moments.text_of(moments.aware(moment)) == "2026-01-01T00:00:00-03:00"
    assert moments.moment_of("2026-01-01T00:00:00-03:00") == moment


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "61 * * * *", "0 0 31 2 *", "@never", "0 0 * * nay"]
)
def test_a_wrong_cron_text_is_refused_at_once(cron):
    """The error has the text, and how to write one."""
    with pytest.raises(ValueError, match=r"cron"):
        CronSchedule(cron)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: IntervalSchedule(timedelta(days=1)), "first argument is start_date.*interval="),
        (lambda: Schedule("ab"), "clocks"),
        (lambda: Schedule([5]), "a Clock"),
        (lambda: Schedule([], filters=[5]), "filters"),
        (lambda: IntervalClock(5), "interval"),
        (lambda: IntervalClock(timedelta(1), start_date="2026-01-01"), "start_date"),
        (lambda: DatesClock(["2026-01-01"]), "dates"),
        (lambda: RRuleClock("FREQ=DAILY"), "rrule_obj"),
        (lambda: CronClock("0 6 * * *", parameter_defaults=[1]), "parameter_defaults"),
        (lambda: Flow("f", schedule="0 6 * * *"), "prefect.schedules"),
        (lambda: setattr(Flow("f"), "schedule", 5), "prefect.schedules"),
    ],
)
def test_another_type_is_refused(make, said):
    """The error names the argument."""
    with pytest.raises(TypeError, match=said):
        make()


def test_times_never_go_back():
    """Over a year with both changes of the clocks, in zones near and far, each time is after the one before."""
    for name in (
        "Europe/Berlin",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "UTC",
    ):
        start = datetime(2026, 1, 1, 0, 15, tzinfo=ZoneInfo(name))
        for clock in (
            IntervalClock(timedelta(hours=7), start),
            IntervalClock(timedelta(days=1), start),
            CronClock("15 */2 * * *", start),
        ):
            times = [each.start_time for each in Schedule([clock]).next(800, NEW_YEAR, True)]
            stamps = [each.timestamp() for each in times]
            assert stamps == sorted(set(stamps)), name
            assert Schedule([clock]).next(1, after=times[400])[0] == times[401], name

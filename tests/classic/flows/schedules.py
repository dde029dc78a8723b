"""When flows run."""

import datetime
import itertools

import pendulum

import prefect
from prefect import Flow, Parameter, task
from prefect.schedules import CronSchedule, IntervalSchedule, Schedule, adjustments, filters
from prefect.schedules.clocks import Clock, ClockEvent, CronClock, DatesClock, IntervalClock
from prefect.schedules.clocks import RRuleClock
from prefect.schedules import RRuleSchedule

BERLIN = "Europe/Berlin"


def told(times):
    return [each.isoformat() for each in times]


def first(clock, after, count=4):
    return told(each.start_time for each in itertools.islice(clock.events(after), count))


def at(*numbers, tz="UTC"):
    return pendulum.datetime(*numbers, tz=tz)


def probe_interval_from_the_default_start():
    return first(IntervalClock(datetime.timedelta(minutes=90)), at(2026, 1, 1, 0, 10))


def probe_interval_begins_at_its_start_date():
    return first(IntervalClock(datetime.timedelta(hours=5), at(2026, 1, 1)), at(2025, 1, 1))


def probe_interval_after_one_of_its_times():
    return first(IntervalClock(datetime.timedelta(hours=5), at(2026, 1, 1)), at(2026, 1, 1))


def probe_interval_with_a_naive_start():
    return first(
        IntervalClock(datetime.timedelta(hours=5), datetime.datetime(2026, 1, 1)), at(2025, 1, 1)
    )


def probe_interval_ends():
    clock = IntervalClock(datetime.timedelta(hours=5), at(2026, 1, 1), at(2026, 1, 1, 10))
    return first(clock, at(2025, 1, 1))


def daily(hour, minute):
    return IntervalClock(datetime.timedelta(days=1), at(2026, 1, 1, hour, minute, tz=BERLIN))


def probe_days_keep_their_hour():
    return first(daily(9, 0), at(2026, 3, 28)) + first(daily(9, 0), at(2026, 10, 24))


def probe_days_at_an_hour_that_is_not_or_is_twice():
    return first(daily(2, 30), at(2026, 3, 28)) + first(daily(2, 30), at(2026, 10, 24))


def hourly():
    return IntervalClock(datetime.timedelta(hours=1), at(2026, 1, 1, tz=BERLIN))


def probe_hours_when_clocks_go_back():
    return first(hourly(), at(2026, 10, 24, 23))


def probe_hours_when_clocks_go_forward():
    return first(hourly(), at(2026, 3, 28, 23, 30))


def probe_cron():
    return [
        first(CronClock(each), at(2026, 1, 1))
        for each in (
            "*/15 * * * *", "0 0 */10 * 1", "0 0 13 * fri", "0 9-17/4 * * 1-5", "5 0 * 8 *", "0 0 * * 7",
            "0 0 ? * 2", "0 0 l * *", "0 0 * * fri#2", "@daily", "@hourly", "* * * * * */20",
        )
    ]  # fmt: skip


def probe_cron_by_both_days():
    return first(CronClock("0 0 13 * fri", day_or=False), at(2026, 1, 1))


def probe_cron_with_names_across_the_week_end():
    return first(CronClock("0 0 * * fri-mon"), at(2026, 1, 1))


def probe_cron_that_is_none():
    CronClock("bad")


def probe_cron_out_of_range():
    CronClock("60 * * * *")


def cron(text):
    return CronClock(text, start_date=at(2026, 1, 1, tz=BERLIN))


def probe_cron_when_clocks_go_back():
    return first(cron("30 2 * * *"), at(2026, 10, 24)) + first(
        cron("0 * * * *"), at(2026, 10, 24, 22)
    )


def probe_cron_when_clocks_go_forward():
    return first(cron("30 2 * * *"), at(2026, 3, 28)) + first(
        cron("0 * * * *"), at(2026, 3, 28, 23)
    )


def probe_cron_between_its_dates():
    clock = CronClock("0 0 * * *", at(2026, 1, 1), at(2026, 1, 3))
    return first(clock, at(2025, 1, 1)) + first(clock, at(2026, 1, 1))


def probe_cron_rounds_up():
    return first(CronClock("0 0 * * *", at(2020, 1, 1, 0, 0, 0, 1)), at(2019, 1, 1))


def probe_dates():
    clock = DatesClock([at(2026, 1, 5), at(2026, 1, 3)])
    return [
        first(clock, at(2026, 1, 1)),
        first(clock, at(2026, 1, 3)),
        clock.start_date.isoformat(),
        clock.end_date.isoformat(),
    ]


def probe_no_dates():
    DatesClock([])


def probe_no_interval():
    IntervalSchedule(interval=datetime.timedelta(0))


def probe_interval_of_another_type():
    IntervalSchedule(interval=5)


def probe_clocks_of_another_type():
    Schedule(clocks=5)


def probe_no_clocks():
    return Schedule(clocks=[]).next(2)


def probe_rules():
    from dateutil import rrule

    rule = rrule.rrule(rrule.DAILY, count=4, dtstart=datetime.datetime(2026, 1, 1, 5))
    schedule = RRuleSchedule(rule, start_date=at(2026, 1, 2))
    return told(schedule.next(5, after=at(2025, 1, 1)))


def probe_several_clocks():
    schedule = Schedule(
        clocks=[
            IntervalClock(datetime.timedelta(hours=1)),
            IntervalClock(datetime.timedelta(hours=2)),
        ]
    )
    return told(schedule.next(4, after=at(2026, 1, 1)))


def probe_clocks_with_parameters():
    schedule = Schedule(
        clocks=[
            IntervalClock(datetime.timedelta(hours=2), parameter_defaults={"x": 1}, labels=["a"]),
            CronClock("30 * * * *", parameter_defaults={"x": 2}),
        ]
    )
    events = schedule.next(4, after=at(2026, 1, 1), return_events=True)
    return [[each.start_time.isoformat(), each.parameter_defaults, each.labels] for each in events]


def probe_filters():
    hours = IntervalClock(datetime.timedelta(hours=1))
    nine, five = datetime.time(9), datetime.time(17)
    tests = (
        filters.is_weekday, filters.is_weekend, filters.is_month_start, filters.is_month_end,
        filters.at_time(nine), filters.between_times(five, nine), filters.between_times(nine, five),
        filters.on_date(3, 1), filters.between_dates(12, 24, 1, 6), filters.between_dates(2, 1, 2, 3),
        filters.on_datetime(at(2026, 1, 2, 3)), filters.is_day_of_week(0),
        filters.between_datetimes(at(2026, 1, 2), at(2026, 1, 2, 1)),
    )  # fmt: skip
    return [told(Schedule([hours], filters=[each]).next(2, after=at(2026, 1, 1))) for each in tests]


def probe_or_and_not():
    schedule = Schedule(
        [IntervalClock(datetime.timedelta(hours=1))],
        filters=[filters.is_weekday],
        or_filters=[filters.at_time(datetime.time(9)), filters.at_time(datetime.time(17))],
        not_filters=[filters.on_date(1, 1)],
    )
    return told(schedule.next(4, after=at(2026, 1, 1)))


def probe_adjustments():
    schedule = Schedule(
        [CronClock("0 6 1 * *")],
        adjustments=[adjustments.add(datetime.timedelta(days=1)), adjustments.next_weekday],
    )
    return told(schedule.next(6, after=at(2026, 1, 1)))


def probe_filter_that_lets_nothing_through():
    return Schedule([CronClock("0 6 1 * *")], filters=[lambda each: False]).next(1)


class Soon(Clock):
    """A few times that are near."""

    def __init__(self, count, **more):
        super().__init__(**more)
        self.left = count

    def events(self, after=None):
        if self.left:
            self.left -= 1
            yield ClockEvent(pendulum.now("UTC").add(seconds=0.2), self.parameter_defaults)


ran = []


@task
def note(x):
    ran.append([x, prefect.context.scheduled_start_time <= pendulum.now("UTC")])
    return x


def flow_with(schedule):
    ran.clear()
    with Flow("f", schedule=schedule) as flow:
        note(Parameter("x", default=0))
    return flow


def probe_run_on_schedule_by_default():
    state = flow_with(Schedule([Soon(2)])).run()
    return state.is_successful(), ran


def probe_clocks_parameters_come_first():
    state = flow_with(Schedule([Soon(1, parameter_defaults={"x": 5})])).run(x=3)
    return state.is_successful(), ran


def probe_run_once():
    state = flow_with(Schedule([Soon(3)])).run(run_on_schedule=False)
    return state.is_successful(), ran


def probe_run_on_schedule_without_one():
    state = flow_with(None).run(run_on_schedule=True)
    return state.is_successful(), ran


def probe_no_more_runs():
    flow_with(Schedule([DatesClock([at(2020, 1, 1)])])).run()


def probe_schedule_as_attribute():
    flow = flow_with(None)
    flow.schedule = CronSchedule("0 6 * * *")
    return told(flow.schedule.next(2, after=at(2026, 1, 1)))

"""Run a report for each team at its own times: python examples/classic/schedules.py."""

from datetime import datetime, time, timedelta, timezone

import prefect
from prefect import Flow, Parameter, task
from prefect.schedules import CronSchedule, IntervalSchedule, Schedule, filters
from prefect.schedules.clocks import CronClock, DatesClock, IntervalClock

JANUARY = datetime(2026, 1, 1, tzinfo=timezone.utc)
DONE = []


@task
def report(team):
    started = prefect.context.scheduled_start_time
    DONE.append(team)
    return started <= datetime.now(timezone.utc)


with Flow("team report") as flow:
    reported = report(Parameter("team", default="all"))

SCHEDULES = {
    "mornings": CronSchedule("0 6 * * 1-5"),
    "hours": IntervalSchedule(start_date=JANUARY, interval=timedelta(hours=7)),
    "office hours": Schedule(
        clocks=[IntervalClock(timedelta(hours=1))],
        filters=[filters.is_weekday, filters.between_times(time(9), time(17))],
        not_filters=[filters.on_date(1, 1)],
    ),
    "teams": Schedule(
        clocks=[
            CronClock("0 7 * * *", parameter_defaults={"team": "north"}),
            CronClock("0 8 * * *", parameter_defaults={"team": "south"}),
        ]
    ),
}

if __name__ == "__main__":
    for name, schedule in SCHEDULES.items():
        events = schedule.next(3, after=JANUARY, return_events=True)
        print(name, [(f"{each.start_time:%a %H:%M}", each.parameter_defaults) for each in events])
    now = datetime.now(timezone.utc)
    soon = [
        DatesClock([now + timedelta(seconds=seconds)], parameter_defaults={"team": team})
        for seconds, team in ((2, "north"), (4, "south"))
    ]
    flow.schedule = Schedule(clocks=soon)
    state = flow.run()
    print(state.is_successful(), state.result[reported].result, DONE)

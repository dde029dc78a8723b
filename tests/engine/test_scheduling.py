"""Running flows at the times of their schedules."""

import logging
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

import prefect
from prefect import Flow, Parameter, task
from prefect.engine import scheduling
from prefect.errors import FlowError, ParameterError
from prefect.schedules import CronSchedule, IntervalSchedule, Schedule
from prefect.schedules.clocks import DatesClock, IntervalClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Time:
    """A clock that only sleeping and working moves."""

    def __init__(self):
        self.now = NOON
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)

    def work(self, **duration):
        self.now += timedelta(**duration)


@pytest.fixture
def clock(monkeypatch):
    """A time of the test's own."""
    found = Time()
    monkeypatch.setattr(scheduling, "_now", lambda: found.now)
    monkeypatch.setattr(scheduling.time, "sleep", found.sleep)
    return found


def scheduled(schedule, work):
    """Return a flow, and what it notes: the times that it runs at."""
    noted = []

    def note(x):
        noted.append(prefect.context.scheduled_start_time.strftime("%H:%M:%S"))
        work(len(noted))

    with Flow("f", schedule=schedule) as flow:
        task(note, name="note")(Parameter("x", default=0))
    return flow, noted


def every(**duration):
    """Return a schedule of an interval that ends after a minute."""
    return IntervalSchedule(NOON, timedelta(**duration), NOON + timedelta(minutes=1))


def test_it_runs_at_each_time(clock):
    """By default a flow with a schedule runs at each of its times, and returns the last state."""
    flow, noted = scheduled(every(seconds=20), lambda _: clock.work(seconds=3))
    state = flow.run()
    assert noted == ["12:00:20", "12:00:40", "12:01:00"]
    assert state.is_successful()
    assert clock.slept == [20, 17, 17]  # what a run takes makes none later


def test_it_runs_once_where_that_is_said(clock, monkeypatch):
    """run_on_schedule=False, or the setting of that name, has it run now and once."""
    flow, noted = scheduled(every(seconds=20), lambda _: None)
    flow.run(run_on_schedule=False)
    for each in (flow, Flow("without one")):
        with pytest.raises(TypeError, match="run_on_schedule"):
            each.run(run_on_schedule="no")
    monkeypatch.setenv("PREFECT__FLOWS__RUN_ON_SCHEDULE", "false")
    flow.run()
    assert len(noted) == 2
    assert clock.slept == []
    flow.run(run_on_schedule=True)
    assert len(noted) == 5


def test_a_missed_time_is_said(clock, caplog):
    """Times that pass while the flow runs are not made up for, and a warning names them."""
    flow, noted = scheduled(every(seconds=10), lambda n: clock.work(seconds=25 if n == 1 else 11))
    with caplog.at_level(logging.INFO, "prefect"):
        flow.run()
    assert noted == ["12:00:10", "12:00:40", "12:01:00"]
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert warnings == [
        "missed 2 runs, of 2026-01-01 12:00:20 UTC to 2026-01-01 12:00:30 UTC: the one before them took too long",
        "missed the run of 2026-01-01 12:00:50 UTC: the one before it took too long",
    ]
    assert "next run at 2026-01-01 12:00:40 UTC" in caplog.text


def test_a_clock_that_is_set_changes_no_times(clock, caplog):
    """The clock is read again while it is waited for: set back it runs nothing twice, and lateness is said."""
    schedule = IntervalSchedule(NOON, timedelta(hours=1), NOON + timedelta(hours=3))
    flow, noted = scheduled(schedule, lambda n: clock.work(minutes=-30) if n == 1 else None)
    sleep = clock.sleep

    def suspended(seconds):
        sleep(seconds)
        if len(noted) == 2:
            clock.work(minutes=65)

    scheduling.time.sleep = suspended
    flow.run()
    assert noted == ["13:00:00", "14:00:00", "15:00:00"]
    assert max(clock.slept) <= 30
    assert "the run of 2026-01-01 15:00:00 UTC begins 0:05:30 late" in caplog.text


def test_clocks_bring_parameters(clock):
    """The values of a clock come before those that are given; of two clocks with one time each has its run."""
    got = []
    later = NOON + timedelta(seconds=30)
    schedule = Schedule(
        [
            DatesClock([NOON + timedelta(seconds=10)], {"x": 1}),
            DatesClock([later], {"y": 2}),
            DatesClock([later], {"y": 3}),
        ]
    )
    with Flow("f", schedule=schedule) as flow:
        task(lambda x, y: got.append((x, y)), name="t")(Parameter("x"), Parameter("y", default=0))
    flow.run(x=9)
    assert got == [(1, 0), (9, 2), (9, 3)]


def test_what_is_wrong_is_said_before_it_waits(clock):
    """A parameter that is missing or unknown, or a schedule that is over, is an error at once."""
    schedule = every(seconds=20)
    with Flow("f", schedule=schedule) as flow:
        Parameter("x")
        flow.add_task(Parameter("x2", default=1))
        task(lambda x: x, name="t")(Parameter("z"))
    with pytest.raises(ParameterError, match="'z'"):
        flow.run()
    flow.schedule = Schedule([IntervalClock(timedelta(1), parameter_defaults={"nope": 1})])
    with pytest.raises(ParameterError, match="nope"):
        flow.run(z=1)
    flow.schedule = Schedule([DatesClock([NOON])])
    with pytest.raises(FlowError, match="no more scheduled runs"):
        flow.run(z=1)
    assert clock.slept == []


def test_adjustments_that_bring_times_back_do_not_run_them_again(clock):
    """A time that an adjustment brings before now runs once, late, and not over and over."""
    schedule = every(seconds=20)
    schedule.adjustments.append(lambda each: each - timedelta(seconds=15))
    flow, noted = scheduled(schedule, lambda _: clock.work(seconds=1))
    flow.run()
    assert noted == ["12:00:05", "12:00:25", "12:00:45"]


def test_it_runs_in_a_thread(clock):
    """Outside of the main thread, where a wait is not interrupted, it wakes often enough to be stopped."""
    flow, noted = scheduled(every(seconds=30), lambda _: None)
    thread = threading.Thread(target=flow.run)
    thread.start()
    thread.join(60)
    assert noted == ["12:00:30", "12:01:00"]
    assert max(clock.slept) <= 0.05


def test_ctrl_c_ends_the_wait(tmp_path):
    """Ctrl-C while it waits ends it at once; the exception has the state of the last run, None if there was none."""
    script = tmp_path / "script.py"
    script.write_text(
        "from datetime import timedelta\n"
        "from prefect import Flow, task\n"
        "from prefect.schedules import IntervalSchedule\n"
        "with Flow('f', schedule=IntervalSchedule(interval=timedelta(days=300))) as flow:\n"
        "    task(lambda: 1, name='t')()\n"
        "try:\n"
        "    flow.run()\n"
        "except KeyboardInterrupt as stop:\n"
        "    print('state', stop.state)\n"
    )
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "next run at" in process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert out == "state None\n"
    assert process.returncode == 0


def test_a_schedule_costs_others_nothing():
    """A flow's schedule is None unless it is given one, and may be taken away."""
    flow = Flow("f", schedule=CronSchedule("0 6 * * *"))
    flow.schedule = None
    assert flow.run().is_successful()

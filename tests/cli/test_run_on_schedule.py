"""`prefect run --on-schedule`, and the schedules of artifacts in `prefect info` and `prefect manifest`."""

import os
import signal
import subprocess
import sys

import pytest
import yaml

SOON = """
import sys
from datetime import UTC, datetime, timedelta
from prefect import Flow, Parameter, task
from prefect.schedules import Schedule
from prefect.schedules.clocks import DatesClock, IntervalClock

SOON = datetime.now(UTC) + timedelta(seconds=DELAY)

@task
def tell(x, y):
    print("ran with", repr(x), y)
    if x == "bad":
        raise RuntimeError("as asked")

clocks = [DatesClock([SOON], {"x": "a b"}), DatesClock([SOON], {"x": "bad"})]
with Flow("soon", schedule=Schedule(clocks)) as flow:
    tell(Parameter("x", default=None), Parameter("y", default=0))
"""
DAILY = """
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo
from prefect import Flow, Parameter, task
from prefect.schedules import Schedule, filters
from prefect.schedules.clocks import CronClock

def own(moment):
    return True

start = datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
schedule = Schedule([CronClock("0 6 * * 1-5", start, parameter_defaults={"x": "a b"})])
with Flow("daily", schedule=schedule) as flow:
    task(lambda x: x, name="t")(Parameter("x"))
with Flow("own", schedule=Schedule(schedule.clocks, filters=[own])) as own_filter:
    task(lambda x: x, name="t")(Parameter("x", default=1))
"""


def test_a_file_runs_at_each_time(prefect):
    """Each run is told as ever, with the clock's parameters and those that are given; the status is the last run's."""
    (prefect.directory / "soon.py").write_text(SOON.replace("DELAY", "8"))
    out, err = prefect("run", "soon.py", "--on-schedule", "-p", "y=7", status=1)
    assert "ran with 'a b' 7" in out
    assert "ran with 'bad' 7" in out
    assert err.startswith("Next run at 2")


def test_an_artifact_runs_at_each_time(prefect):
    """The times are in its manifest, so that it is not loaded to wait for them; it ends when there are no more."""
    often = "Schedule([IntervalClock(timedelta(seconds=2), parameter_defaults={'x': 'a b'})])"
    text = SOON.replace("DELAY", "-5").replace("Schedule(clocks)", often)
    (prefect.directory / "often.py").write_text(text)
    (prefect.directory / "over.py").write_text(SOON.replace("DELAY", "-5"))
    prefect("keygen", "flow.key")
    for name in ("often", "over"):
        prefect("build", f"{name}.py", "-o", f"{name}.flow", "--key-file", "flow.key")
    with subprocess.Popen(
        [sys.executable, "-m", "prefect", "run", "often.flow", "--key-file", "flow.key", "--on-schedule"],
        cwd=prefect.directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        runs = 0
        for line in process.stdout:
            runs += line == "ran with 'a b' 0\n"
            if runs == 2:
                process.send_signal(signal.SIGTERM)
    assert runs >= 2
    assert process.returncode == 128 + signal.SIGTERM
    _, err = prefect("run", "over.flow", "--key-file", "flow.key", "--on-schedule", status=2)
    assert "has no more times" in err


def test_without_the_option_it_runs_once(prefect):
    """A flow with a schedule runs now, wherever it is run from."""
    (prefect.directory / "soon.py").write_text(SOON.replace("DELAY", "3600"))
    assert "ran with None 0" in prefect("run", "soon.py")[0]
    assert "ran with None 0" in prefect("run", "soon.py", "--in", "venv")[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["etl.py"], "has no schedule"),
        (["daily.py:daily", "-p", "x=1"], "leave it out"),
        (["daily.py:own", "-p", "y=1"], "'y'"),
        (["-"], "can be read but once"),
    ],
)
def test_what_is_wrong_is_said_at_once(prefect, arguments, said):
    """Nothing is waited for where no run could be made."""
    (prefect.directory / "daily.py").write_text(DAILY)
    _, err = prefect("run", *arguments, "--on-schedule", status=2)
    assert said in " ".join(err.split())


def test_functions_of_ones_own_are_in_the_flow_alone(prefect):
    """An artifact whose schedule has them says so, and what to run instead; `info` shows all else."""
    (prefect.directory / "daily.py").write_text(DAILY)
    prefect("keygen", "flow.key")
    prefect("build", "daily.py:own", "-o", "own.flow", "--key-file", "flow.key")
    _, err = prefect("run", "own.flow", "--key-file", "flow.key", "--on-schedule", status=2)
    assert "own is in the flow alone" in " ".join(err.split())
    out, _ = prefect("info", "own.flow", "--key-file", "flow.key")
    assert "not known here" in out
    assert "; if own" in out


def test_info_has_the_next_times(prefect):
    """The schedule is told in a few words, with the next times in its own zone."""
    (prefect.directory / "daily.py").write_text(DAILY)
    prefect("keygen", "flow.key")
    prefect("build", "daily.py:daily", "-o", "daily.flow", "--key-file", "flow.key")
    out, _ = prefect("info", "daily.flow", "--key-file", "flow.key")
    assert "cron 0 6 * * 1-5 from 2026-01-01T00:00:00+01:00[Europe/Berlin], x='a b'" in out
    (line,) = [line for line in out.splitlines() if "next runs" in line]
    assert line.count(" 06:00:00 CE") == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_by_a_signal(prefect, number):
    """Ctrl-C and SIGTERM end the wait, with the status of a program that they end and without a traceback."""
    (prefect.directory / "soon.py").write_text(SOON.replace("DELAY", "3600"))
    with subprocess.Popen(
        [sys.executable, "-m", "prefect", "run", "soon.py", "--on-schedule"],
        cwd=prefect.directory, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert "Next run at" in process.stderr.readline()
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=60)
    assert process.returncode in {128 + number, -number}
    assert "Traceback" not in err


@pytest.mark.services
def test_platforms_keep_the_flows_own_schedule(prefect, registry, base_image, unique):
    """A CronJob and a timer have the flow's schedule and its clock's parameters, unless --schedule gives another."""
    (prefect.directory / "daily.py").write_text(DAILY)
    name = f"{registry}/{unique}:1"
    prefect("build", "daily.py:daily", "--image", base_image, "--push", name)
    out, _ = prefect("manifest", name, "--kind", "kubernetes-cronjob")
    spec = yaml.safe_load(out)["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("0 6 * * 1-5", "Europe/Berlin")
    assert '--parameter=x="a b"' in out or '--parameter=x=\\"a b\\"' in out
    out, _ = prefect("manifest", name, "--kind", "systemd")
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 06:00:00 Europe/Berlin" in out
    out, _ = prefect("manifest", name, "--kind", "systemd", "--schedule", "@daily", "-p", "x=1")
    assert "OnCalendar=*-*-* 00:00:00 Etc/UTC" in out
    _, err = prefect("manifest", name, "--kind", "kubernetes-job", "-p", "x=1")
    assert "own schedule does not count here" in err
    _, err = prefect("manifest", name, "--kind", "kubernetes-cronjob", "-p", "x=1", status=2)
    assert "leave it out" in err
    prefect("build", "etl.py", "--image", base_image, "--push", name)
    _, err = prefect("manifest", name, "--kind", "kubernetes-cronjob", status=2)
    assert "the flow has none" in " ".join(err.split())

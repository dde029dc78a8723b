"""`prefect.images.deploying.schedule`: cron's schedules, and systemd's of the same meaning."""

import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from prefect.images.deploying.schedule import parse_schedule

GOOD = [
    "0 6 * * *", "*/15 * * * *", "0 0 1 1 *", "30 4 1,15 * 5", "0 22 * * 1-5", "5 0 * 8 *", "0 9 * jan-mar MON",
    "15 14 1 * *", "0 0 29 2 *", "0 0 */10 * 2", "0 0 1 * */2", "7-59/13 3 * * sun,sat", "0 12 * * 7", "@daily",
    "@weekly", "@hourly", "0 0 31 2 mon",
]  # fmt: skip
BAD = {
    "": "minute, hour", "6": "minute, hour", "0 6 * *": "minute, hour", "0 6 * * * *": "minute, hour",
    "60 6 * * *": "as minute: write 0 to 59", "0 24 * * *": "as hour", "0 6 0 * *": "day of the month",
    "0 6 * 13 *": "month", "0 6 * * 8": "day of the week", "0 6 * * mon-": "day of the week",
    "5-1 6 * * *": "as minute", "*/0 6 * * *": "as minute", "-1 6 * * *": "as minute", "a 6 * * *": "as minute",
    "0 0 31 2 *": "never comes", "0 0 30 feb *": "never comes", "@reboot": "minute, hour",
    "0 0 31 4,6 *": "never comes", "CRON_TZ=UTC 0 6 * * *": "minute, hour", "0 6 * * *\nx": "minute, hour",
    "٣ 6 * * *": "as minute",
}  # fmt: skip


def comes(text, at):
    """Tell whether cron runs at a time: an own reading of crontab(5)."""
    names = {n: i for i, n in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
    names |= {
        n: i + 1
        for i, n in enumerate(
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        )
    }
    macros = {"@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@hourly": "0 * * * *"}
    fields = macros.get(text, text).lower().split()

    def has(field, value, least, greatest):
        for item in field.split(","):
            span, _, step = item.partition("/")
            first, _, last = (str(least), "", str(greatest)) if span == "*" else span.partition("-")
            low = names.get(first) if first in names else int(first)
            high = low if not last else names.get(last) if last in names else int(last)
            if value in range(low, high + 1, int(step or 1)):
                return True
        return False

    weekday = at.isoweekday() % 7
    minute, hour = has(fields[0], at.minute, 0, 59), has(fields[1], at.hour, 0, 23)
    month = has(fields[3], at.month, 1, 12)
    date = has(fields[2], at.day, 1, 31)
    day = has(fields[4], weekday, 0, 6) or (weekday == 0 and has(fields[4], 7, 0, 6))
    both = fields[2].startswith("*") or fields[4].startswith("*")
    return minute and hour and month and ((date and day) if both else (date or day))


@pytest.mark.services
@pytest.mark.parametrize("text", GOOD)
def test_systemd_comes_when_cron_does(text):
    """The next times that systemd tells are those that crontab(5) means, and none is left out."""
    base = datetime(2027, 1, 1, tzinfo=UTC)
    times = set()
    for event in parse_schedule(text).calendar():
        done = subprocess.run(
            ["systemd-analyze", "calendar", "--iterations=6", "--base-time=2027-01-01 00:00:00 UTC", event],
            env={"TZ": "UTC", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        times |= {
            datetime.fromisoformat(f"{found}+00:00")
            for found in re.findall(r"(?:elapse|#\d+): \w+ (\S+ \S+) UTC", done.stdout)
        }
    assert len(times) >= 6
    ordered = sorted(times)[:6]
    assert all(comes(text, at) for at in times)
    minutes = int((ordered[-1] - base).total_seconds() // 60)
    if minutes < 50_000:  # those that are years away take too long to count
        every = (base + timedelta(minutes=n) for n in range(1, minutes + 1))
        assert [at for at in every if comes(text, at)][:6] == ordered


@pytest.mark.parametrize(("text", "told"), BAD.items())
def test_what_is_no_schedule_is_refused(text, told):
    """The error names the field and what it takes."""
    with pytest.raises(ValueError, match=told):
        parse_schedule(text)


def test_kubernetes_gets_what_was_written_but_for_its_other_sunday():
    """Its days of the week end at 6."""
    assert parse_schedule("*/5 0 * * mon-fri").cron == "*/5 0 * * mon-fri"
    assert parse_schedule("0 6 * * 5-7").cron == "0 6 * * 0,5,6"
    assert parse_schedule("@daily").cron == "0 0 * * *"


def test_a_time_zone_is_one_that_there_is():
    """Without one it is UTC, wherever the platform is."""
    assert parse_schedule("0 6 * * *", "Europe/Berlin").calendar() == [
        "*-*-* 06:00:00 Europe/Berlin"
    ]
    assert parse_schedule("0 6 * * *").zone == "Etc/UTC"
    for zone in ("Europe/Nowhere", "../etc", "a\nb"):
        with pytest.raises(ValueError, match="no time zone"):
            parse_schedule("0 6 * * *", zone)

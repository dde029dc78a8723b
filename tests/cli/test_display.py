"""The live view of a run, on a terminal of its own."""

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

import records


def at_terminal(directory, *arguments, columns=100):
    """Start the command on a pseudo-terminal; return its process, and the terminal's other side."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=directory, stdin=follower, stdout=follower, stderr=follower,
        env=os.environ | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "30"},
    )  # fmt: skip
    os.close(follower)
    return process, leader


def on_terminal(directory, *arguments) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; return its exit status and what was drawn."""
    return drawn_by(*at_terminal(directory, *arguments))


def read_until(leader, pattern, shown="") -> str:
    """Return what was shown, and what a terminal shows from now on, as text, until that has a pattern."""
    while not re.search(pattern, shown):
        chunk = os.read(leader, 65536).decode(errors="replace")
        shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", chunk)
    return shown


def drawn_by(process, leader) -> tuple[int, str]:
    """Return a program's exit status, and what it draws on its terminal until it ends."""
    drawn = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the other side was closed
            break
        if not chunk:
            break
        drawn += chunk
    os.close(leader)
    status = process.wait(timeout=60)
    return status, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())


def test_a_terminal_shows_tasks_as_they_end(prefect):
    """Each task has a line with its time, a mapped one with its items, and the outcome is last."""
    status, drawn = on_terminal(prefect.directory, "run", "etl.py")
    assert status == 0
    assert re.search(r"✓ extract +[\d.]+ m?s", drawn)
    assert re.search(r"✓ transform +3 items", drawn)
    assert "loaded [0, 2, 4]" in drawn
    assert re.search(r"✓ etl & co: Success in \d", drawn)


def test_a_failure_shows_its_traceback(prefect):
    """The failed task is marked, and its traceback follows the view."""
    status, drawn = on_terminal(prefect.directory, "run", "etl.py", "-p", "fail=true")
    assert status == 1
    assert re.search(r"✗ load .*RuntimeError: as asked", drawn)
    assert 'raise RuntimeError("as asked")' in drawn
    assert re.search(r"✗ etl & co: Failed", drawn)


CHATTY = """
import sys
from pathlib import Path
from prefect import Flow, task

@task
def chatty():
    for number in range(20_000):
        print("number", number)
    print("\\x1b[31mred\\x1b[0m", "tab\\tbed", file=sys.stderr)
    print("the end", end="")
    Path("worked").touch()

with Flow("chatty") as flow:
    chatty()
"""


def test_showing_does_not_hold_up_working(prefect):
    """A task has written 20,000 lines before the terminal has taken the first; then all come."""
    (prefect.directory / "chatty.py").write_text(CHATTY)
    process, leader = at_terminal(prefect.directory, "run", "chatty.py")
    try:
        deadline = time.monotonic() + 60
        while not (prefect.directory / "worked").exists():
            assert time.monotonic() < deadline, "the task waits for the terminal"
            time.sleep(0.05)
        status, drawn = drawn_by(process, leader)
    finally:
        process.kill()
        process.wait()
    assert status == 0
    assert re.findall(r"number (\d+)\r\n", drawn) == [str(number) for number in range(20_000)]
    assert re.search(r"red tab +bed", drawn)
    assert re.search(r"number 19999.*the end.*✓ chatty: Success", drawn, re.DOTALL)


SLOW = """
import time
from pathlib import Path
from prefect import Flow, task

@task
def slow(x):
    Path(f"began{x}").touch()
    time.sleep(60)

with Flow("slow") as flow:
    slow.map([1, 2])
"""


def test_a_run_that_is_stopped_says_what_it_cut_off(prefect):
    """Each task that ran has a line, and the command ends as Ctrl-C ends it."""
    (prefect.directory / "slow.py").write_text(SLOW)
    process, leader = at_terminal(prefect.directory, "run", "slow.py", "--executor", "threads")
    deadline = time.monotonic() + 60
    while not all((prefect.directory / f"began{x}").exists() for x in (1, 2)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    status, drawn = drawn_by(process, leader)
    assert status == 130
    for index in (0, 1):
        assert re.search(rf"■ slow\[{index}\]  cut off after [\d.]+ m?s", drawn)
    assert drawn.rstrip().endswith("Stopped.")


WAITING = """
import time
from pathlib import Path
from prefect import Flow, task

@task
def each(x):
    time.sleep(0.15)
    while x == 4 and not Path("go on").exists():
        time.sleep(0.05)

with Flow("waiting") as flow:
    each.map([0, 1, 2, 3, 4, 5])
"""


def test_a_terminal_shows_how_far_a_run_is(prefect):
    """Of a mapped task what has ended and what is left; the rate, the slowest tasks, CPU and memory."""
    (prefect.directory / "waiting.py").write_text(WAITING)
    process, leader = at_terminal(prefect.directory, "run", "waiting.py", columns=120)
    try:
        shown = ""
        for pattern in (
            r"each: 4/6, [\d.]+ m?s left",
            r"[01]/\d tasks, [^\n]*\d/s",
            r"slowest: each\[\d\] [\d.]+ m?s, [^\n]*CPU \d+ %, memory \d+ MiB",
        ):
            shown = read_until(leader, pattern, shown)
        (prefect.directory / "go on").touch()
        status, _ = drawn_by(process, leader)
    finally:
        process.kill()
        process.wait()
    assert status == 0


@pytest.mark.services
def test_an_image_is_shown_alike(prefect, daemon, base_image, unique):
    """A container's run is drawn from its JSON lines."""
    prefect("build", "etl.py", "--image", base_image, "--tag", unique)
    status, drawn = on_terminal(prefect.directory, "run", f"image:{unique}", "-p", "n=2")
    assert status == 0
    assert re.search(r"✓ transform +2 items", drawn)
    assert "loaded [0, 2]" in drawn


HOSTILE = """
from prefect import Flow, context, task

TITLE = chr(27) + "]0;owned" + chr(7)

@task(name="name" + TITLE, max_retries=1)
def fails():
    context.logger.info("own " + chr(27) + "[1mwords")
    raise RuntimeError("text" + TITLE)

with Flow("flow" + TITLE) as flow:
    fails()
"""


PRINTING = """
from prefect import Flow, task

@task(log_stdout=True)
def prints():
    print("logged \\x1bc\\x9b2J")

@task
def writes():
    print("before \\x1b[31mred\\x1b[0m \\x1b[2Jcleared\\x1b]0;owned\\x07 \\x1bc\\x9b2J after")

with Flow("printing") as flow:
    prints()
    writes()
"""


def test_what_a_task_prints_does_not_draw_over_the_view(prefect):
    """Its colours are shown; what moves the cursor, clears the screen or names the window is left out."""
    (prefect.directory / "printing.py").write_text(PRINTING)
    process, leader = at_terminal(prefect.directory, "run", "printing.py")
    drawn = b""
    while True:
        try:
            drawn += os.read(leader, 65536)
        except OSError:  # the other side was closed
            break
    os.close(leader)
    assert process.wait(timeout=60) == 0
    assert b"\x1b[31mred" in drawn
    assert b"\x1b[2J" not in drawn
    assert b"\x1b]0;" not in drawn
    assert b"\x1bc" not in drawn  # which resets it
    assert "\x9b".encode() not in drawn  # which begins a command as ESC [ does
    assert b"cleared" in drawn


def test_lines_that_are_no_events_are_shown_as_they_are(tmp_path):
    """Something below Python writes them, in another place: none of them ends the view."""
    program = """
import json
from prefect.cli.display import LiveDisplay

task = {"event": "task", "task": "a", "map_index": None, "state": "Success", "message": None, "children": None}
lines = [
    "[" * 100_000, "[1]", json.dumps({"event": "log", "level": "INFO", "logger": 1, "message": 2}),
    *(json.dumps({**task, **more}) for more in ({"state": "Mapped", "children": "5"}, {"message": 5}, {"task": []})),
]
with LiveDisplay({"name": "f", "tasks": [{"id": "a", "name": "a"}], "parameters": []}) as display:
    display.replay(lines)
    display.replay([json.dumps({"event": "output", "text": "the end"})])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "the end" in done.stdout


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "lines"])
def test_names_and_exceptions_command_no_terminal(prefect, terminal):
    """They show as escapes; what a task logs itself stays as it is."""
    (prefect.directory / "hostile.py").write_text(HOSTILE)
    if terminal:
        status, shown = on_terminal(prefect.directory, "run", "hostile.py")
        assert status == 1
    else:
        shown = "".join(prefect("run", "hostile.py", status=1))
        assert "own \x1b[1mwords" in shown
    assert "\x1b]" not in shown
    assert "\x07" not in shown
    for named in ("name", "text", "flow"):
        assert named + r"\x1b]0;owned\x07" in shown


LONG = """
import time
from pathlib import Path
from prefect import Flow, task

@task
def first():
    pass

@task
def long():
    while not Path("go on").exists():
        time.sleep(0.05)

with Flow("long") as flow:
    long(upstream_tasks=[first()])
"""


@pytest.mark.parametrize("place", ["here", "venv"])
def test_a_terminal_shows_how_long_a_run_may_take(prefect, place):
    """From a run of the flow that the store has: it took a thousand times as long as this one."""
    tasks = [records.task("first-1"), records.task("long-1")]
    earlier = records.Making(records.flow("long", tasks, [("first-1", "long-1", None, False)]))
    earlier.run("first-1", seconds=0.01)
    earlier.run("long-1", ["first-1"], seconds=7_000.0)
    (prefect.directory / "kept" / "runs").mkdir(parents=True)
    records.write(
        prefect.directory / "kept" / "runs" / "20250101-000000.000-long-0.jsonl", earlier.end()
    )
    (prefect.directory / "long.py").write_text(LONG)
    words = ("run", "long.py", "--in", place, "--store", "kept")
    process, leader = at_terminal(prefect.directory, *words, columns=120)
    try:
        read_until(leader, r"1/2 tasks, [^\n]*about \d+ (h|min) \d+ (min|s) left")
        (prefect.directory / "go on").touch()
        status, _ = drawn_by(process, leader)
    finally:
        process.kill()
        process.wait()
    assert status == 0

"""The live view of a run, on a terminal of its own."""

import os
import pty
import re
import subprocess
import sys

import pytest


def on_terminal(directory, *arguments) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; return its exit status and what was drawn."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", *arguments],
        cwd=directory, stdin=follower, stdout=follower, stderr=follower,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    )  # fmt: skip
    os.close(follower)
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
    assert re.search(r"✓ extract +\d+\.\d s", drawn)
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


@pytest.mark.services
def test_an_image_is_shown_alike(prefect, daemon, base_image, unique):
    """A container's run is drawn from its JSON lines."""
    prefect("build", "etl.py", "--image", base_image, "--tag", unique)
    status, drawn = on_terminal(prefect.directory, "run", unique, "-p", "n=2")
    assert status == 0
    assert re.search(r"✓ transform +2 items", drawn)
    assert "loaded [0, 2]" in drawn

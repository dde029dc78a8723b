"""`prefect.places.sandbox.ahead`: `prefect run FILE.py --image BASE` in a sandbox that was entered before."""

import os
import signal
import subprocess
import sys

import pytest
from processes import left_behind

pytestmark = pytest.mark.services

FLOW = """
import os, sys, time
from prefect import Flow, task

@task
def look():
    print({text!r}, "entered before:", os.path.ismount("/opt/prefect/flow"), flush=True)
    {then}

with Flow("looks") as flow:
    look()
"""


class Again:
    """A command that is given again, for a file that changes."""

    def __init__(self, directory, base):
        self.file = directory / "looks.py"
        (directory / "temporary").mkdir()
        self.temporary = directory / "temporary"
        self.env = os.environ | {"TMPDIR": str(self.temporary), "LEAST_KNOWN": "canary-5511"}
        self.command = [
            sys.executable, "-m", "prefect", "run", str(self.file), "--image", base, "--in", "sandbox",
        ]  # fmt: skip

    def write(self, text, then="pass"):
        self.file.write_text(FLOW.format(text=text, then=then))

    def run(self, text, **more):
        self.write(text, **more)
        return subprocess.run(
            self.command, env=self.env, capture_output=True, text=True, check=False
        )

    def start(self, text, **more):
        self.write(text, **more)
        return subprocess.Popen(
            self.command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def leftovers(self):
        return [each.name for each in self.temporary.rglob("prefect-*") if each.is_dir()]


@pytest.fixture
def again(tmp_path, base_image):
    """A command that was given once."""
    found = Again(tmp_path, base_image)
    done = found.run("first")
    assert "first entered before: False" in done.stdout, done.stderr
    return found


def test_a_changed_flow_runs_in_the_sandbox_that_was_entered_before(again):
    """The flow is the changed one, and its end is told as ever; nothing stays behind."""
    done = again.run("second")
    assert "second entered before: True" in done.stdout, done.stderr
    assert done.returncode == 0
    done = again.run("third", then="raise ValueError('no')")
    assert "third entered before: True" in done.stdout
    assert done.returncode == 1
    done = again.run("fourth", then="os._exit(0)")
    assert done.returncode == 2
    assert "told nothing" in done.stderr
    assert again.leftovers() == []


def test_what_asks_for_more_than_before_gets_a_sandbox_of_its_own(again):
    """As a flow that has a secret by now: it is handed over as ever."""
    again.write("second", then="print(len(os.environ['LEAST_KNOWN']))")
    command = [*again.command, "--secret", "LEAST_KNOWN"]
    for _ in range(2):  # nothing is remembered of such a command
        done = subprocess.run(command, env=again.env, capture_output=True, text=True, check=False)
        assert "second entered before: False" in done.stdout, done.stderr
        assert "\n11\n" in done.stdout
    again.write("third", then="import click")
    done = subprocess.run(again.command, env=again.env, capture_output=True, text=True, check=False)
    assert "third entered before: False" in done.stdout, done.stderr  # on other layers
    assert again.leftovers() == []


def test_a_flow_that_cannot_be_packaged_leaves_no_sandbox(again):
    """It is refused as ever."""
    again.file.write_text("raise ValueError('not a flow')")
    done = subprocess.run(again.command, env=again.env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert again.leftovers() == []


def test_a_signal_ends_what_runs_there(again):
    """The worker unwinds, and the command ends with 128 + the signal's number."""
    process = again.start("second", then="time.sleep(600)")
    for line in process.stdout:
        if "second entered before: True" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert again.leftovers() == []


def test_a_killed_command_leaves_no_process(again):
    """At any moment, also while the flow is packaged."""
    again.write("second", then="time.sleep(600)")
    assert left_behind(again.command, again.env) == []

"""Runs that are killed at any moment, and gone on with."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

FLOW = """
import os, sys, time
from prefect import Flow, task

def note(text):
    file = os.open("notes.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{text}\\n".encode())
    os.close(file)

@task
def one(x):
    time.sleep(0.004)
    note(f"one {x}")
    return [x] * 3000

@task
def two(xs):
    time.sleep(0.002)
    note(f"two {xs[0]}")
    return xs[0] * 2

@task
def total(xs):
    note("total")
    return sum(xs)

with Flow("killed") as flow:
    end = total(two.map(one.map(list(range(30)))))

if __name__ == "__main__":
    state = flow.run(store="store", resume=len(sys.argv) > 1, executor=EXECUTOR)
    print(state.result[end].result)
"""


@pytest.mark.parametrize("executor", ["local", "threads:4"])
def test_a_run_that_was_killed_again_and_again_comes_to_its_end(tmp_path, executor):
    """Nothing that was stored is lost or damaged, and what it was stored for does not run again."""
    (tmp_path / "flow.py").write_text(FLOW.replace("EXECUTOR", repr(executor)))
    chance = random.Random(7)
    kills, resume = 0, []
    for _ in range(200):
        process = subprocess.Popen(
            [sys.executable, "flow.py", *resume], cwd=tmp_path, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        if kills < 12:
            records = tmp_path / "store" / "runs"
            before = len(list(records.iterdir())) if records.exists() else 0
            while process.poll() is None and (
                not records.exists() or len(list(records.iterdir())) == before
            ):
                time.sleep(0.002)
            time.sleep(chance.random() * 0.08)
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        out, _ = process.communicate()
        if process.returncode == 0:
            assert out.split() == [str(2 * sum(range(30)))]
            break
        resume = ["resume"]
    assert kills
    notes = (tmp_path / "notes.txt").read_text().split("\n")[:-1]
    assert set(notes) == {f"one {x}" for x in range(30)} | {f"two {x}" for x in range(30)} | {
        "total"
    }
    # What a kill met between its end and its being stored runs again: at most what ran at that moment.
    most = kills * (1 if executor == "local" else 4)
    assert len(notes) - len(set(notes)) <= most
    assert not {
        path.name
        for path in (tmp_path / "store" / "values").rglob("*")
        if path.is_file() and not path.stat().st_size
    }

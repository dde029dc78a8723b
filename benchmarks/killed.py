"""Whether a run that is killed at any moment loses a result, or runs again what had ended.

    python benchmarks/killed.py [--kills 100] [--seed 7] [--executors local,threads:4,processes:2]

A flow of 61 tasks is started, killed with SIGKILL after a random time, and gone on with, until it ends; then anew in a new store,
until there were so many kills. After each kill the store is looked into: a task has ended whose result lies there whole. "Lost"
counts such results that the next process did not find again, or found otherwise; "run again" counts tasks that ran although their result lay there.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from prefect.store.store import open_store

FLOW = """
import os, sys, time
from prefect import Flow, task

def note(text):
    file = os.open("notes.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{text}\\n".encode())
    os.close(file)

@task
def small(x):
    note(f"small {x}")
    time.sleep(0.004)
    return x

@task
def large(x):
    note(f"large {x}")
    time.sleep(0.004)
    return [x] * 5000

@task
def total(xs):
    note("total None")
    return sum(map(sum, xs))

with Flow("killed") as flow:
    end = total(large.map(small.map(list(range(30)))))

if __name__ == "__main__":
    state = flow.run(store="store", resume="resume" in sys.argv, executor=sys.argv[1])
    print(state.result[end].result)
"""
RIGHT = str(5000 * sum(range(30)))


def ended(where: Path) -> dict[str, Any]:
    """Return the results that lie whole in a store, by task and index."""
    store = open_store(f"file://{where}")
    found: dict[str, Any] = {}
    for path, _, _ in list(store.files.listed("packs")):
        data, position = bytes(store.files.read(path) or b""), 0
        while len(line := data[position : position + 91]) == 91:
            key, position = line[:64].decode(), position + 91 + int(line[82:90], 16)
            entry, value = store.entry(key), store.value(key)
            if entry is not None and value is not None:
                name = str(entry.about["task"]).partition("-")[0]
                found[f"{name} {entry.about.get('map_index')}"] = value[0]
    return found


def begun(where: Path) -> int:
    """Return how many records there are."""
    records = where / "store" / "runs"
    return len(list(records.iterdir())) if records.exists() else 0


def measured(executor: str, kills: int, chance: random.Random) -> tuple[int, ...]:
    """Kill a flow so often; return kills, ended flows, results at the kills, lost ones, and those that ran again."""
    killed = flows = seen = lost = again = 0
    while killed < kills:
        with tempfile.TemporaryDirectory() as temporary:
            where = Path(temporary)
            (where / "flow.py").write_text(FLOW)
            there: dict[str, Any] = {}
            resume: list[str] = []
            while True:
                notes = where / "notes.txt"
                before, records = notes.stat().st_size if notes.exists() else 0, begun(where)
                process = subprocess.Popen(
                    [sys.executable, "flow.py", executor, *resume], cwd=where,
                    stdout=subprocess.PIPE, text=True, start_new_session=True,
                )  # fmt: skip
                if killed < kills:
                    while process.poll() is None and begun(where) == records:
                        time.sleep(0.002)
                    time.sleep(chance.random() * (3.0 if executor.startswith("processes") else 0.3))
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
                out, _ = process.communicate(timeout=120)
                ran = notes.read_text()[before:].splitlines() if notes.exists() else []
                again += len(there.keys() & set(ran))
                now = ended(where / "store")
                lost += sum(now.get(name) != value for name, value in there.items())
                if process.returncode == 0:
                    assert out.strip() == RIGHT, out
                    flows += 1
                    break
                assert process.returncode == -signal.SIGKILL, process.returncode
                killed, seen, there = killed + 1, seen + len(now), now
                resume = ["resume"]
    return killed, flows, seen, lost, again


def main() -> None:
    """Kill, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--executors", default="local,threads:4,processes:2")
    options = parser.parse_args()
    print("| executor | kills | flows that ended | results at the kills | lost | run again |")
    print("|---|--:|--:|--:|--:|--:|")
    for executor in options.executors.split(","):
        row = measured(executor, options.kills, random.Random(options.seed))
        print(f"| {executor} | {' | '.join(map(str, row))} |", flush=True)
        if row[3] or row[4]:
            raise SystemExit(f"With {executor}, results were lost or made twice")


if __name__ == "__main__":
    main()

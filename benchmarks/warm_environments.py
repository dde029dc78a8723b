"""What a ready environment costs a run: `prefect run --in venv` beside the same functions as a script there.

    python benchmarks/warm_environments.py [--rounds 9] [--package pandas] [--json]

The package is locked as it is installed here, and taken from the index that uv knows. Each round starts
every program once, in turn; the fastest of each are compared, for others use the machine as well. Reported
too: how long it takes to find the environment, in a process that has begun.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FLOW = """
import {package}
from prefect import Flow, task

@task
def total():
    print(sum(range(1000)), {package}.__name__)

with Flow("bench") as flow:
    total()
"""
SCRIPT = """
import {package}

def total():
    print(sum(range(1000)), {package}.__name__)

total()
"""
LOOK_UP = """
import json, sys, time
from pathlib import Path
from prefect.environments import PickleEnvironment
from prefect.places.venv.environment import environment_for
from prefect.sealing import read_manifest
manifest = read_manifest(Path("bench.flow"), PickleEnvironment(Path("key").read_text().strip()).keyring)
found = []
for _ in range(20):
    begin = time.perf_counter()
    with environment_for(manifest) as environment:
        found.append(time.perf_counter() - begin)
print(json.dumps([min(found), str(environment.python)]))
"""


def measure(package: str, rounds: int) -> dict[str, float]:
    """Return the seconds that each program takes, and a look-up."""
    with tempfile.TemporaryDirectory() as directory:
        variables = os.environ | {
            "PYTHONDONTWRITEBYTECODE": "",
            "XDG_CACHE_HOME": f"{directory}/cache",
        }

        def run(*command: str | Path) -> str:
            done = subprocess.run(
                command, cwd=directory, env=variables, capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"{command}: {done.stdout}{done.stderr}")
            return done.stdout

        prefect = (sys.executable, "-m", "prefect")
        Path(directory, "bench.py").write_text(FLOW.format(package=package))
        Path(directory, "script.py").write_text(SCRIPT.format(package=package))
        run(*prefect, "keygen", "key")
        run(*prefect, "build", "bench.py", "--key-file", "key")
        there = (*prefect, "run", "bench.flow", "--key-file", "key", "--in", "venv")
        run(*there)
        seconds, python = json.loads(run(sys.executable, "-c", LOOK_UP))
        programs = {"script": (python, "script.py"), "prefect run --in venv": there}
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, command in programs.items():
                begin = time.perf_counter()
                run(*command)
                times[name].append(time.perf_counter() - begin)
    return {name: min(found) for name, found in times.items()} | {"look-up": seconds}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--package", default="pandas")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.package, options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    for name, seconds in found.items():
        print(f"{name:24} {seconds * 1000:8.1f} ms  {seconds / found['script']:5.2f}")


if __name__ == "__main__":
    main()

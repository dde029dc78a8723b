"""What starting costs: a bare interpreter, `import prefect`, and the command.

    python benchmarks/startup.py [--rounds 15] [--json]

Each round starts every program once, in turn; medians are compared. Bytecode is compiled before,
as it is where a package is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

SMALL_FLOW = """
from prefect import Flow, task
with Flow("small") as flow:
    task(lambda x: x)(1)
assert flow.run().is_successful()
"""
PROGRAMS = {
    "bare interpreter": ["-c", "pass"],
    "import prefect": ["-c", "import prefect"],
    "run a small flow": ["-c", SMALL_FLOW],
    "python -m prefect --version": ["-m", "prefect", "--version"],
}


def start(arguments: list[str], environment: dict[str, str]) -> float | None:
    """Return how many seconds a program takes; None, if it fails."""
    begin = time.perf_counter()
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    return None if done.returncode else time.perf_counter() - begin


def measure(rounds: int) -> dict[str, float | None]:
    """Return the median of each program in seconds; None, if it fails."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        failed = {name for name, program in PROGRAMS.items() if start(program, environment) is None}
        times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
        for _ in range(rounds):
            for name, program in PROGRAMS.items():
                seconds = None if name in failed else start(program, environment)
                if seconds is not None:
                    times[name].append(seconds)
    return {name: statistics.median(found) if found else None for name, found in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    medians = measure(options.rounds)
    bare = medians["bare interpreter"] or 0.0
    rows = [
        {
            "program": name,
            "ms": None if seconds is None else round(seconds * 1000, 2),
            "over_bare_ms": None if seconds is None else round((seconds - bare) * 1000, 2),
        }
        for name, seconds in medians.items()
    ]
    if options.json:
        print(json.dumps({"rounds": options.rounds, "rows": rows}, indent=2))
        return
    print(f"medians of {options.rounds} rounds\n")
    print(f"{'program':<30} {'ms':>8} {'over bare':>10}")
    for row in rows:
        if row["ms"] is None:
            print(f"{row['program']:<30} failed: left out")
        else:
            print(f"{row['program']:<30} {row['ms']:>8} {row['over_bare_ms']:>10}")


if __name__ == "__main__":
    main()

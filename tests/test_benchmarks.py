"""The benchmarks that a test has the time for."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_benchmark_of_places_works():
    """Each place that needs neither an engine nor the index runs the flow, and has its row."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "benchmarks" / "places.py", "--quick"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    named = {row.split(" | ")[0].removeprefix("| "): row for row in rows}
    for name in ("functions, ready environment", "prefect run X.flow --in here",
                 "prefect run X.flow --in venv", "uv run --script"):  # fmt: skip
        assert "does not work" not in named[name]


@pytest.mark.timeout(600)
def test_the_benchmark_of_the_engine_works():
    """Every way that needs nothing from the index does the work, in each shape."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "benchmarks" / "engine.py", "--quick", "--json"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    ways = {"ours, local", "ours, threads", "ours, processes", "ours, Dask",
            "dask.get", "dask.threaded", "dask.distributed",
            "limit: threads", "limit: processes", "limit: asyncio"}  # fmt: skip
    shapes = ["chain", "wide", "fan-in", "random", "mapped"]
    assert {(row["shape"], row["way"]) for row in rows} == set(itertools.product(shapes, ways))
    failures = {row["failed"] for row in rows if "failed" in row}
    assert failures <= {"more than 20 s", "-"}, "only a busy machine may make some late"

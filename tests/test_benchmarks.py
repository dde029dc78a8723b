"""The benchmarks that a test has the time for."""

import contextlib
import itertools
import json
import os
import signal
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


def test_the_benchmark_of_reports_works():
    """The page of a run is made, by a function and by the command, and has its rows."""
    done = subprocess.run(
        [sys.executable, "-P", ROOT / "benchmarks" / "report.py", "--quick"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| 100 ")]
    assert [row[1] for row in rows] == ["prefect.report.html", "prefect report, whole command"]


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


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_a_benchmark_that_is_ended_leaves_nothing(tmp_path, number, status):
    """Ctrl-C and SIGTERM end the processes of all ways, and remove their directory."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT")}
    with subprocess.Popen(
        [sys.executable, "-P", ROOT / "benchmarks" / "engine.py", "--quick", "--only", "threads"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=environment | {"TMPDIR": str(tmp_path)},
    ) as started:  # fmt: skip
        assert started.stderr is not None
        while "wide" not in started.stderr.readline():  # all ways have started then
            assert started.poll() is None
        assert _within(tmp_path)
        started.send_signal(number)
        started.stderr.read()
    assert started.returncode == status
    assert not _within(tmp_path)
    assert not list(tmp_path.iterdir())


def _within(place):
    """Return the processes that work in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(place):
                found.append(process.name)
    return found

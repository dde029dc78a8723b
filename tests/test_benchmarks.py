"""The benchmarks that a test has the time for."""

import os
import subprocess
import sys
from pathlib import Path

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

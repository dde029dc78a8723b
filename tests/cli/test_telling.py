"""`prefect.cli.telling`: what a run's reporter hears is told to OpenTelemetry, too."""

import os
import subprocess
import sys


def test_lines_that_are_no_events_end_no_run():
    """Something below Python writes them, in another place: they are passed on."""
    program = """
import sys
from prefect.cli.telling import listening
from prefect.telemetry.run import Telemetry

flow = {"name": "f", "tasks": [{"id": "a", "name": "a"}], "parameters": []}
task = '{"event":"task","task":"a","map_index":null,"state":"Success","message":null,"children":null,"time":%s}'
passed = []
with Telemetry(flow) as telemetry:
    take = listening(telemetry, lambda line, stream: passed.append(line))
    for line in ("[" * 100_000, task % "1e400", task % ("1" + "0" * 400), task % "1e300", "[1]", "x"):
        take(line, "stdout")
print(len(passed))
"""
    variables = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | variables, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout == "6\n", done.stderr

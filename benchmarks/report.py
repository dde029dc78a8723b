"""The page of a run beside Dask's performance_report: its size, and the time to make it.

    python benchmarks/report.py [--rounds 5] [--tasks 1000 10000] [--quick]

Ours is made of a record, by functions that have been called once, as Dask's is at the end of a block in a client
that runs already; the whole command `prefect report` is a row of its own. Dask's has as many tasks, of a millisecond
each. Both are processes that say what they took, in turn, after a round that does not count; seconds are of the
processor. Dask and Bokeh are installed into an environment of their own; --quick leaves them out.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = """
import json, sys, time
from prefect.records.reading import read_record
from prefect.report.html import html
for _ in range(2):
    start = time.process_time()
    run = read_record(sys.argv[1])
    middle = time.process_time()
    page = html(run)
    end = time.process_time()
print(json.dumps({"read": middle - start, "page": end - middle, "bytes": len(page)}))
"""
DASK = """
import json, os, sys, time
import dask
from distributed import Client, LocalCluster, performance_report

def wait(x):
    time.sleep(0.001)
    return x

if __name__ == "__main__":
    dask.config.set({"distributed.worker.profile.enabled": True})
    cluster = LocalCluster(n_workers=1, threads_per_worker=8, processes=False, dashboard_address=None)
    with cluster, Client(cluster) as client:
        client.gather(client.map(wait, range(10)))
        report = performance_report(filename=sys.argv[1])
        report.__enter__()
        client.gather(client.map(wait, range(int(sys.argv[2])), key="timed"))
        start = time.process_time()
        report.__exit__(None, None, None)
        seconds = time.process_time() - start
    print(json.dumps({"page": seconds, "bytes": os.path.getsize(sys.argv[1])}))
"""


def told(*command: str) -> dict[str, float]:
    """Run a program, and return what its last line says."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def command(record: str, page: str) -> dict[str, float]:
    """Run the whole command, and return its seconds and its page's size."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "prefect", "report", record, "-o", page],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"page": seconds, "bytes": Path(page).stat().st_size}


def rival(directory: Path) -> str:
    """Install Dask and Bokeh, and return the Python that has them."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, directory], check=True)
    python = str(directory / "bin" / "python")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "distributed", "bokeh>=3.1"],
        check=True,
    )  # fmt: skip
    return python


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import records  # noqa: PLC0415

    print("| tasks | page | size, KB | made in, s | record read in, s |\n|--:|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        dask = None if options.quick else rival(directory / "dask")
        for count in [100] if options.quick else options.tasks:
            record = str(records.write(directory / f"{count}.jsonl", records.large(count)))
            page = str(directory / "page.html")
            ways = {
                "prefect.report.html": lambda record=record: told(sys.executable, "-c", OURS, record),
                "prefect report, whole command": lambda record=record, page=page: command(record, page),
            }  # fmt: skip
            if dask is not None:
                script = directory / "dask_report.py"
                script.write_text(DASK)
                ways["dask performance_report"] = lambda page=page, count=count, script=script: (
                    told(dask, str(script), page, str(count))
                )
            taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
            for number in range(1 if options.quick else options.rounds + 1):
                for way, measure in ways.items():
                    found = measure()
                    if number or options.quick:
                        taken[way].append(found)
            for way, rounds in taken.items():
                made = statistics.median(each["page"] for each in rounds)
                read = [each["read"] for each in rounds if "read" in each]
                size = rounds[-1]["bytes"] / 1000
                shown = f"{statistics.median(read):.3f}" if read else ""
                print(f"| {count} | {way} | {size:.0f} | {made:.3f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()

"""What it costs a task to be recorded, to have its result stored, and to have it taken, beside other caches.

    python benchmarks/results.py [--rounds 5] [--tasks 1000] [--quick]

Microseconds of the processor for each task: of a flow of so many mapped tasks, less the same flow without a store; for
joblib and diskcache, of as many calls of a cached function; for redun of as many tasks, for Hamilton of as many nodes less the
same without its cache, and for Metaflow of its datastore alone, by which a task's artifacts are saved and loaded: its runs start a
process for each task. Small results are numbers, large ones arrays of 1 MB (a tenth as many). Each is a process that says what it
took, in turn, after a round that does not count, in an environment of its own with NumPy; --quick leaves the others out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = """
import json, sys, time
import numpy as np
from prefect import Flow, task

count, size, where = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

@task
def made(x):
    return np.full(size, x) if size else x + 1

with Flow("f") as flow:
    made.map(list(range(count)))

def took(**options):
    start = time.process_time()
    assert flow.run(results="reference", **options).is_successful()
    return time.process_time() - start

def recorded():
    from prefect.records.writing import recorder
    start = time.process_time()
    writer = recorder(f"{where}.jsonl", lambda text: text)
    state = flow.run(on_state=writer.on_state)
    writer.end("f", state)
    return time.process_time() - start

plain = min(took() for _ in range(3))
told = {"recorded": recorded() - plain, "stored": took(store=where) - plain, "taken": took(store=where, resume=True)}
print(json.dumps({name: value / count * 1e6 for name, value in told.items()}))
"""
THEIRS = """
import json, sys, time
import numpy as np
import NAME

count, size, where = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]

def made(x):
    return np.full(size, x) if size else x + 1

cached = WRAPPED

def took():
    start = time.process_time()
    for x in range(count):
        cached(x)
    return time.process_time() - start

told = {"stored": took(), "taken": took()}
print(json.dumps({name: value / count * 1e6 for name, value in told.items()}))
"""
HEAD = """
import json, logging, sys, time
import numpy as np

logging.disable(logging.CRITICAL)
count, size, where = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
"""
REDUN = """
from redun import Scheduler, task
from redun.config import Config

redun_namespace = "bench"

@task()
def made(x):
    return np.full(size, x) if size else x + 1

@task(cache=False)
def every(numbers):
    return [made(x) for x in numbers]

def took():
    scheduler = Scheduler(config=Config({"backend": {"db_uri": f"sqlite:///{where}.db"}}))
    scheduler.load()
    start = time.process_time()
    assert len(scheduler.run(every(list(range(count))))) == count
    return time.process_time() - start

told = {"stored": took(), "taken": took()}
"""
HAMILTON = """
from hamilton import ad_hoc_utils, driver
from hamilton.function_modifiers import parameterize, value

@parameterize(**{f"made_{x}": {"x": value(x)} for x in range(count)})
def made(x: int) -> object:
    return np.full(size, x) if size else x + 1

module = ad_hoc_utils.create_temporary_module(made, module_name="bench")

def took(cached):
    builder = driver.Builder().with_modules(module)
    built = (builder.with_cache(path=where) if cached else builder).build()
    start = time.process_time()
    assert len(built.execute([f"made_{x}" for x in range(count)])) == count
    return time.process_time() - start

plain = took(False)
told = {"stored": took(True) - plain, "taken": took(True) - plain}
"""
METAFLOW = """
from metaflow.datastore import FlowDataStore
from metaflow.metaflow_environment import MetaflowEnvironment
from metaflow.plugins.datastores.local_storage import LocalStorage

class Metadata:
    def __getattr__(self, name):
        return lambda *args, **named: None

store = FlowDataStore(
    "Bench", MetaflowEnvironment(None), Metadata(), storage_impl=LocalStorage, ds_root=where
)

def stored():
    start = time.process_time()
    for x in range(count):
        task = store.get_task_datastore("1", "made", str(x), attempt=0, mode="w")
        task.init_task()
        task.save_artifacts([("value", np.full(size, x) if size else x + 1)])
        task.done()
    return time.process_time() - start

def taken():
    start = time.process_time()
    for x in range(count):
        dict(store.get_task_datastore("1", "made", str(x)).load_artifacts(["value"]))
    return time.process_time() - start

told = {"stored": stored(), "taken": taken()}
"""
TAIL = """
print(json.dumps({name: each / count * 1e6 for name, each in told.items()}))
"""


def _cached(module: str, wrapped: str) -> str:
    return THEIRS.replace("NAME", module).replace("WRAPPED", wrapped)


RIVALS = {
    "joblib.Memory": ("joblib", _cached("joblib", "joblib.Memory(where, verbose=0).cache(made)")),
    "diskcache": ("diskcache", _cached("diskcache", "diskcache.Cache(where).memoize()(made)")),
    "Metaflow's datastore": ("metaflow", HEAD + METAFLOW + TAIL),
    "Hamilton's cache": ("sf-hamilton", HEAD + HAMILTON + TAIL),
    "redun": ("redun", HEAD + REDUN + TAIL),
}


def told(*command: str) -> dict[str, float]:
    """Run a program, and return what its last line says."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def environment(directory: Path, package: str) -> str:
    """Install another into an environment of its own, and return the Python that has it."""
    uv = str(Path(sys.executable).with_name("uv"))
    made = directory / package
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, made], check=True)
    python = str(made / "bin" / "python")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "numpy", package], check=True
    )
    return python


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        programs: dict[str, list[str]] = {"prefect": [sys.executable, "-c", OURS]}
        if not options.quick:
            for name, (package, source) in RIVALS.items():
                file = directory / f"of_{package}.py"  # some ask for the source of what they run
                file.write_text(source)
                programs[name] = [environment(directory, package), str(file)]
        print("| results | | recorded | stored | taken |")
        print("|---|---|--:|--:|--:|")
        for label, size, count in (
            ("small", 0, options.tasks),
            ("1 MB", 125_000, options.tasks // 10),
        ):
            found: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
            for number in range(options.rounds + 1):
                for name, program in programs.items():
                    where = str(directory / f"{list(programs).index(name)}-{size}-{number}")
                    measured = told(*program, str(count), str(size), where)
                    if number:
                        found[name].append(measured)
            for name, rounds in found.items():
                cells = []
                for column in ("recorded", "stored", "taken"):
                    values = [each[column] for each in rounds if column in each]
                    cells.append(f"{statistics.median(values):.1f}" if values else "")
                print(f"| {label} | {name} | {' | '.join(cells)} |")
    print(f"\nMicroseconds of the processor for each task; the load was {load:.1f}.")


if __name__ == "__main__":
    main()

"""How long after a signal, or a run's timeout, tasks still have effects, and the run returns; by executor.

    python benchmarks/ending.py [--rounds 7]

Two tasks (one under local) write the time to files every two milliseconds, until the run gets SIGINT, as by Ctrl-C, or its
`timeout` is over. Rounds alternate between executors. A scheduler and two workers are processes on loopback.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import cluster

TIMEOUT = 5.0


def marks(path: str) -> None:
    """Write the time, again and again, and once more at the end."""
    until = time.time() + 120
    try:
        while time.time() < until:
            _mark(path)
            time.sleep(0.002)
    finally:
        _mark(path)


def _mark(path: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{time.time()}\n")


def _signal_when(files: list[Path], sent: list[float]) -> None:
    while not all(file.exists() for file in files):
        time.sleep(0.01)
    time.sleep(0.2)
    sent.append(time.time())
    os.kill(os.getpid(), signal.SIGINT)


def once(executor: Any, tasks: int, *, by_signal: bool) -> tuple[float, float] | None:
    """Return the seconds to the last effect and to the end of the run; None if a task had not begun."""
    from prefect import Flow, task  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory, str(number)) for number in range(tasks)]
        with Flow("ends") as flow:
            task(marks).map([str(file) for file in files])
        sent: list[float] = []
        if by_signal:
            threading.Thread(target=_signal_when, args=(files, sent), daemon=True).start()
        else:
            sent.append(time.time() + TIMEOUT)
        with suppress(KeyboardInterrupt):
            flow.run(executor=executor, **({} if by_signal else {"timeout": TIMEOUT}))
        returned = time.time()
        time.sleep(0.5)
        if not all(file.exists() for file in files):
            return None
        last = max(float(line) for file in files for line in file.read_text().split())
    return last - sent[0], returned - sent[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    from prefect.engine.executors import DaskExecutor  # noqa: PLC0415

    processes, address = cluster.cluster()
    ways = {
        "local": ("local", 1), "threads": ("threads:2", 2), "processes": ("processes:2", 2),
        "Dask": (DaskExecutor(address), 2),
    }  # fmt: skip
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    try:
        for _ in range(options.rounds):
            for name, (executor, tasks) in ways.items():
                for end in ("Ctrl-C", "timeout"):
                    measured = once(executor, tasks, by_signal=end == "Ctrl-C")
                    if measured is not None:
                        found.setdefault((name, end), []).append(measured)
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()
    print("| executor | ended by | to the last effect, ms (worst) | to the return, ms (worst) |")
    print("|---|---|--:|--:|")
    for (name, end), measured_all in found.items():
        cells = [
            f"{1000 * statistics.median(each):.0f} ({1000 * max(each):.0f})"
            for each in zip(*measured_all, strict=True)
        ]
        print(f"| {name} | {end} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

"""What a flow costs for each task, beside what one would use instead.

    python benchmarks/flow_overhead.py [--tasks 10000] [--rounds 5] [--json]

The work is `x + 1`, so all that is measured is overhead. Rounds of all ways are interleaved, and
the fastest of each counts: the machine's other load slows all of them down, never one up. A ratio
compares with the first way of the same shape.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import dask
import dask.threaded

from prefect import Flow, task
from prefect.engine.executors import LocalExecutor, ThreadExecutor

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS = 4


def increment(x: int) -> int:
    """Do next to nothing."""
    return x + 1


inc = task(increment)


def wide(count: int) -> Flow:
    """Return a flow of tasks that do not depend on each other."""
    with Flow("wide") as flow:
        for number in range(count):
            inc(number)
    return flow


def chain(count: int) -> Flow:
    """Return a flow of tasks that each need the one before."""
    with Flow("chain") as flow:
        x: object = 0
        for _ in range(count):
            x = inc(x)
    return flow


def mapped(count: int) -> Flow:
    """Return a flow of one mapped task."""
    with Flow("mapped") as flow:
        inc.map(list(range(count)))
    return flow


def call_in_chain(count: int) -> int:
    """Call the bare function, each time with what it returned."""
    x = 0
    for _ in range(count):
        x = increment(x)
    return x


def with_pool(count: int) -> list[int]:
    """Submit each call to a pool of threads."""
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(increment, number) for number in range(count)]
        return [future.result() for future in futures]


def ways(count: int) -> dict[tuple[str, str], Callable[[], object]]:
    """Return what is measured, by shape and way."""
    flows = {"wide": wide(count), "chain": chain(count), "mapped": mapped(count)}
    keys = [f"t{number}" for number in range(count)]
    wide_graph = {key: (increment, number) for number, key in enumerate(keys)}
    chain_graph = {
        key: (increment, keys[number - 1] if number else 0) for number, key in enumerate(keys)
    }
    threads = ThreadExecutor(WORKERS)
    measured: dict[tuple[str, str], Callable[[], object]] = {
        ("wide", "bare calls"): lambda: [increment(number) for number in range(count)],
        ("wide", "prefect, local"): lambda: flows["wide"].run(executor=LocalExecutor()),
        ("wide", "dask.get"): lambda: dask.get(wide_graph, keys),
        ("wide", f"prefect, {WORKERS} threads"): lambda: flows["wide"].run(executor=threads),
        ("wide", f"dask.threaded.get, {WORKERS}"): lambda: dask.threaded.get(
            wide_graph, keys, num_workers=WORKERS
        ),
        ("wide", f"ThreadPoolExecutor, {WORKERS}"): lambda: with_pool(count),
        ("chain", "bare calls"): lambda: call_in_chain(count),
        ("chain", "prefect, local"): lambda: flows["chain"].run(executor=LocalExecutor()),
        ("chain", "dask.get"): lambda: dask.get(chain_graph, keys[-1]),
        ("mapped", "bare calls"): lambda: list(map(increment, range(count))),
        ("mapped", "prefect, local"): lambda: flows["mapped"].run(executor=LocalExecutor()),
        ("mapped", f"prefect, {WORKERS} threads"): lambda: flows["mapped"].run(executor=threads),
        ("build", "prefect, wide"): lambda: wide(count),
        ("build", "prefect, chain"): lambda: chain(count),
        ("serialize", "prefect, wide"): flows["wide"].serialize,
        ("serialize", "prefect, chain"): flows["chain"].serialize,
    }
    return measured


def measure(count: int, rounds: int) -> dict[tuple[str, str], float]:
    """Return the seconds that the fastest round of each way took."""
    best: dict[tuple[str, str], float] = {}
    measured = ways(count)
    for _ in range(rounds):
        for key, call in measured.items():
            gc.collect()
            start = time.perf_counter()
            call()
            seconds = time.perf_counter() - start
            best[key] = min(best.get(key, seconds), seconds)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    first: dict[str, float] = {}
    rows = []
    for (shape, way), seconds in measure(options.tasks, options.rounds).items():
        ratio = seconds / first.setdefault(shape, seconds)
        rows.append(
            {
                "shape": shape,
                "way": way,
                "us_per_task": round(seconds / options.tasks * 1e6, 3),
                "ratio": round(ratio, 2),
            }
        )
    if options.json:
        print(json.dumps({"tasks": options.tasks, "rows": rows}, indent=2))
        return
    print(f"{options.tasks} tasks, best of {options.rounds} rounds\n")
    print(f"{'shape':<10} {'way':<24} {'us/task':>9} {'ratio':>8}")
    for row in rows:
        shape, way = row["shape"], row["way"]
        print(f"{shape:<10} {way:<24} {row['us_per_task']:>9} {row['ratio']:>8}")


if __name__ == "__main__":
    main()

"""What a flow costs on a Dask cluster, beside the same graph in plain `client.submit` and `client.map`.

    python benchmarks/cluster.py [--rounds 5] [--json] [--only NAME]

A scheduler and two workers are processes on loopback. Rounds alternate between both ways, each in a
process of its own; what counts is the ratio of the medians. Wall time is from the start of the work
to its result, with a client that is connected; CPU is the client's; bytes are what its process sent to
and received from the scheduler.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "support"))
from relay import Relay

COUNT = int(os.environ.get("COUNT", "3000"))
MANY = int(os.environ.get("MANY", "1000"))
SMALL_SHAPES = ("links", "wide", "in", "random")
"""Of tasks that do next to nothing."""
SHAPES = ("chain", "fan", "map", "parameter", "nested", *SMALL_SHAPES)


def increment(x: Any) -> Any:
    """Do next to nothing."""
    return x + 1


def array(megabytes: int) -> Any:
    """Return an array of a size."""
    import numpy as np  # noqa: PLC0415

    return np.ones(megabytes << 17)


def total(xs: list[Any]) -> float:
    """Return a small number made of large arrays."""
    return float(sum(x[0] for x in xs))


def added(x: int, xs: list[int]) -> int:
    """Use an item and the whole."""
    return x + len(xs)


def counted(*xs: Any) -> int:
    """Return how many values come in."""
    return len(xs)


def both(x: int, y: int) -> int:  # noqa: ARG001  # what it takes is the graph's
    """Return how many values come in, as a task, which names them."""
    return 2


def many(xs: list[Any]) -> int:
    """Return how many values come in as a list."""
    return len(xs)


def pairs() -> list[tuple[int, int]]:
    """Return of which two earlier ones each task of the random graph takes the values."""
    rng = random.Random(7)
    return [(rng.randrange(n), rng.randrange(n)) for n in range(1, MANY)]


def numbers(count: int) -> list[int]:
    """Return a list to map over."""
    return list(range(count))


def flows() -> dict[str, tuple[Any, Any]]:
    """Return each shape as a flow and its last task."""
    from prefect import Flow, Parameter, task, unmapped  # noqa: PLC0415

    found: dict[str, tuple[Any, Any]] = {}
    inc, make, sum_up = task(increment), task(array), task(total)
    with Flow("chain") as flow:
        x = make(50)
        for _ in range(9):
            x = inc(x)
        found["chain"] = flow, sum_up([x])
    with Flow("fan") as flow:
        found["fan"] = flow, sum_up([make(20) for _ in range(20)])
    with Flow("map") as flow:
        found["map"] = flow, inc.map(list(range(COUNT)))
    with Flow("parameter") as flow:
        xs = Parameter("xs", default=list(range(COUNT)))
        found["parameter"] = flow, task(added).map(xs, unmapped(xs))
    with Flow("nested") as flow:
        found["nested"] = flow, inc.map(inc.map(task(numbers)(1000)))
    with Flow("links") as flow:
        x = inc(0)
        for _ in range(199):
            x = inc(x)
        found["links"] = flow, x
    with Flow("wide") as flow:
        found["wide"] = flow, [inc(number) for number in range(MANY)][-1]
    with Flow("in") as flow:
        found["in"] = flow, task(many)([inc(number) for number in range(MANY)])
    with Flow("random") as flow:
        add = task(both)
        made = [inc(0)]
        for one, other in pairs():
            made.append(add(made[one], made[other]))
        found["random"] = flow, made[-1]
    return found


def plainly(client: Any, shape: str) -> Any:
    """Do a shape's work with the client alone."""
    if shape in SMALL_SHAPES:
        return small(client, shape)
    if shape == "chain":
        x = client.submit(array, 50, pure=False)
        for _ in range(9):
            x = client.submit(increment, x, pure=False)
        return client.submit(total, [x], pure=False).result()
    if shape == "fan":
        xs = client.map(array, [20] * 20, pure=False)
        return client.submit(total, xs, pure=False).result()
    if shape == "map":
        return client.gather(client.map(increment, range(COUNT), pure=False))
    if shape == "parameter":
        xs = list(range(COUNT))
        whole = client.scatter(xs, hash=False)
        return client.gather(client.map(added, xs, [whole] * COUNT, pure=False))
    count = 1000
    xs = client.submit(numbers, count, pure=False)
    first = client.map(lambda xs, i: increment(xs[i]), [xs] * count, range(count), pure=False)
    return client.gather(client.map(increment, first, pure=False))


def small(client: Any, shape: str) -> Any:
    """Do the same for small tasks."""
    if shape == "links":
        x = client.submit(increment, 0, pure=False)
        for _ in range(199):
            x = client.submit(increment, x, pure=False)
        return x.result()
    if shape == "wide":
        return client.gather(client.map(increment, range(MANY), pure=False))
    if shape == "in":
        return client.submit(many, client.map(increment, range(MANY), pure=False)).result()
    made = [client.submit(increment, 0, pure=False)]
    for one, other in pairs():
        made.append(client.submit(counted, made[one], made[other], pure=False))
    return client.gather(made)[-1]


def once(address: str, shape: str, way: str) -> dict[str, float]:
    """Measure one way of a shape, in this process."""
    from distributed import Client  # noqa: PLC0415

    from prefect.engine.executors import DaskExecutor  # noqa: PLC0415

    flow, last = flows()[shape]
    with Client(address, set_as_default=False) as client:
        for _ in range(2):  # the first is to warm up
            wall, cpu = time.perf_counter(), time.process_time()
            if way == "plain":
                plainly(client, shape)
            else:
                state = flow.run(executor=DaskExecutor(address))
                assert state.is_successful(), state.message
                state.result[last].result  # noqa: B018
            measured = {
                "wall": time.perf_counter() - wall,
                "cpu": time.process_time() - cpu,
            }
    return measured


def cluster() -> tuple[list[subprocess.Popen[bytes]], str]:
    """Start a scheduler and two workers."""
    import socket  # noqa: PLC0415

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent)}
    dask = [sys.executable, "-m", "dask"]
    commands = [
        [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        [*dask, "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"],
    ]
    processes = [subprocess.Popen(each, env=here, **quiet) for each in commands]
    while processes[0].poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.1)
    return processes, address


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=SHAPES)
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(*options.once)))
        return
    processes, address = cluster()
    rows = []
    relay = Relay(address.removeprefix("tcp://"))
    try:
        relay.__enter__()
        for shape in [options.only] if options.only else SHAPES:
            found: dict[str, list[dict[str, float]]] = {"plain": [], "prefect": []}
            for _ in range(options.rounds):
                for way, measured in found.items():
                    command = [
                        sys.executable,
                        __file__,
                        "--once",
                        f"tcp://{relay.address}",
                        shape,
                        way,
                    ]
                    before = relay.sent + relay.received
                    told = subprocess.run(command, capture_output=True, check=True, timeout=300)
                    moved = relay.sent + relay.received - before
                    measured.append(
                        {**json.loads(told.stdout.splitlines()[-1]), "bytes": moved / 2}
                    )
            row: dict[str, Any] = {"shape": shape}
            for name in ("wall", "cpu", "bytes"):
                plain, ours = (
                    statistics.median(each[name] for each in found[way]) for way in found
                )
                row |= {name: round(ours, 3), f"{name}, plain": round(plain, 3)}
                row[f"{name}, ratio"] = round(ours / plain, 2)
            rows.append(row)
            if not options.json:
                print(row, flush=True)
    finally:
        relay.__exit__()
        for process in reversed(processes):
            process.terminate()
            process.wait()
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()

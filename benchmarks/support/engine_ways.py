"""One way to run a graph, in the Python of its own environment: `python -P engine_ways.py NAME`.

It writes a line of JSON when it is ready, and one for each line that asks for a shape and a count. A way is a
function that imports and starts what is needed; it returns what builds a graph; that returns what
runs it; and that returns the values of the tasks that nothing depends on. Nothing but the
standard library and the way's own packages are there.
"""

# ruff: noqa: PLC0415 - each way imports what only its environment has

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    Run = Callable[[], Any]
    Build = Callable[["Work"], Any]

WORKERS, SEED = 2, 13
SHAPES = ("chain", "wide", "fan-in", "random", "mapped")


@dataclass
class Work:
    """A graph of tasks, in an order in which they can run.

    Args:
        needs: the numbers of the tasks whose values each takes; for "mapped", empty: items are 0 to count - 1.
        megabytes: of the array that goes down a chain; 0 where numbers do.
    """

    shape: str
    count: int
    megabytes: int = 0

    def __post_init__(self) -> None:
        dice = random.Random(SEED)
        several = self.shape in {"wide", "mapped", "asleep"}
        self.needs = list[list[int]]()
        for number in range(0 if self.shape == "mapped" else self.count):
            last = number == self.count - 1
            if self.shape == "random":
                needs = dice.sample(range(number), min(number, dice.randint(0, 3)))
            elif self.shape == "fan-in":
                needs = list(range(number)) if last else []
            else:
                needs = [] if several or not number else [number - 1]
            self.needs.append(needs)
        needed = {number for needs in self.needs for number in needs}
        self.sinks = [number for number in range(len(self.needs)) if number not in needed]


def add(inputs: list[Any]) -> Any:
    """Do next to nothing."""
    return sum(inputs) + 1


def add_integers(inputs: list[int]) -> int:
    """Do the same, for who reads the types."""
    return sum(inputs) + 1


def increment(item: int) -> int:
    """Do the same for an item."""
    return sum([item]) + 1


def add_up(a: int = 0, b: int = 0, c: int = 0) -> int:
    """Do the same with inputs that have names."""
    return sum((a, b, c)) + 1


def first(megabytes: int) -> Any:
    """Return an array of ones."""
    import numpy as np

    return np.ones(megabytes * 125_000)


def grow(array: Any) -> Any:
    """Return another array."""
    return array + 1


def last(array: Any) -> float:
    """Return what stands at its end."""
    return float(array[-1])


# Ours.


def ours(executor: Any) -> Build:
    """Return a way of this project's."""
    from prefect import Flow, task

    one, mapped, total = task(add_up), task(increment), task(add)
    start, more, end = task(first), task(grow), task(last)

    def build(work: Work) -> Run:
        with Flow("measured") as flow:
            if work.shape == "mapped":
                sinks = [mapped.map(list(range(work.count)))]
            elif work.shape == "asleep":
                nap = task(asleep)
                sinks = [nap() for _ in range(work.count)]
            elif work.megabytes:
                array = start(work.megabytes)
                for _ in range(work.count - 1):
                    array = more(array)
                sinks = [end(array)]
            else:
                tasks: list[Any] = []
                for needs in work.needs:
                    given = [tasks[number] for number in needs]
                    tasks.append(total(given) if len(given) > 3 else one(*given))
                sinks = [tasks[number] for number in work.sinks]

        def run() -> list[Any]:
            state = flow.run(executor=executor)
            if not state.is_successful():
                raise RuntimeError(state.message)
            values = [state.result[sink].result for sink in sinks]
            return values[0] if work.shape == "mapped" else values

        return run

    return build


async def asleep() -> int:
    """Wait a second."""
    import asyncio

    await asyncio.sleep(1)
    return 1


def ours_local() -> Build:
    """Run in this thread."""
    from prefect.engine.executors import LocalExecutor

    return ours(LocalExecutor())


def ours_threads() -> Build:
    """Run in threads."""
    from prefect.engine.executors import ThreadExecutor

    return ours(ThreadExecutor(WORKERS))


def ours_processes() -> Build:
    """Run in processes, which start and end with each run."""
    from prefect.engine.executors import ProcessExecutor

    return ours(ProcessExecutor(WORKERS))


def ours_dask() -> Build:
    """Run on a Dask cluster that is there."""
    from prefect.engine.executors import DaskExecutor

    return ours(DaskExecutor(cluster()))


# Dask.


def cluster() -> str:
    """Start a cluster in processes of its own, which end with this one; return its address."""
    process = subprocess.Popen(
        [sys.executable, "-P", __file__, "cluster"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    _kept.append(process)
    assert process.stdout is not None
    return process.stdout.readline().strip()


_kept: list[Any] = []


def keep_cluster() -> None:
    """Be the cluster, until the standard input ends."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as started:
        print(started.scheduler_address, flush=True)
        sys.stdin.read()


def dask_graph(get: Callable[..., Any]) -> Build:
    """Return a way that runs a plain graph."""

    def build(work: Work) -> Run:
        keys = [f"t{number}" for number in range(work.count)]
        graph: dict[str, Any]
        if work.shape == "mapped":
            graph = {key: (increment, number) for number, key in enumerate(keys)}
            return lambda: get(graph, keys)
        if work.megabytes:
            graph = {keys[0]: (first, work.megabytes), "last": (last, keys[-1])}
            graph |= {key: (grow, keys[number]) for number, key in enumerate(keys[1:])}
            return lambda: get(graph, ["last"])
        graph = {
            keys[number]: (add, [keys[one] for one in needs])
            for number, needs in enumerate(work.needs)
        }
        sinks = [keys[number] for number in work.sinks]
        return lambda: get(graph, sinks)

    return build


def dask_get() -> Build:
    """Run in this thread."""
    import dask

    return dask_graph(dask.get)


def dask_threaded() -> Build:
    """Run in threads."""
    import dask.threaded

    return dask_graph(lambda graph, keys: dask.threaded.get(graph, keys, num_workers=WORKERS))


def distributed() -> Build:
    """Submit to a cluster that is there."""
    from distributed import Client

    client = Client(cluster())

    def build(work: Work) -> Run:
        def run() -> list[Any]:
            submit = client.submit
            if work.shape == "mapped":
                return client.gather(client.map(increment, range(work.count), pure=False))
            if work.megabytes:
                array = submit(first, work.megabytes, pure=False)
                for _ in range(work.count - 1):
                    array = submit(grow, array, pure=False)
                return [submit(last, array, pure=False).result()]
            futures: list[Any] = []
            for needs in work.needs:
                futures.append(submit(add, [futures[number] for number in needs], pure=False))
            return client.gather([futures[number] for number in work.sinks])

        return run

    return build


# Limits.


def pool(start: Callable[[], Executor]) -> Build:
    """Return a way that submits what is ready to a pool, which starts and ends with each run."""

    def build(work: Work) -> Run:
        waiting = [len(needs) for needs in work.needs]
        followers: list[list[int]] = [[] for _ in work.needs]
        for number, needs in enumerate(work.needs):
            for need in needs:
                followers[need].append(number)

        def run() -> list[Any]:
            with start() as executor:
                if work.shape == "mapped":
                    return list(executor.map(increment, range(work.count)))
                return submitted(executor, work, waiting, followers)

        return run

    return build


def submitted(
    executor: Executor, work: Work, waiting: list[int], followers: list[list[int]]
) -> list[Any]:
    """Submit each task when the last of those that it needs is done."""
    values: list[Any] = [None] * work.count
    done: SimpleQueue[Any] = SimpleQueue()

    def submit(number: int) -> None:
        future = executor.submit(add, [values[need] for need in work.needs[number]])
        future.add_done_callback(lambda one: done.put((number, one)))

    for number in [number for number, left in enumerate(waiting) if not left]:
        submit(number)
    for _ in work.needs:
        number, future = done.get()
        values[number] = future.result()
        for follower in followers[number]:
            waiting[follower] -= 1
            if not waiting[follower]:
                submit(follower)
    return [values[number] for number in work.sinks]


def threads() -> Build:
    """Run in a pool of threads."""
    return pool(lambda: ThreadPoolExecutor(WORKERS))


def processes() -> Build:
    """Run in a pool of processes."""
    return pool(lambda: ProcessPoolExecutor(WORKERS))


def coroutines() -> Build:
    """Run as tasks of asyncio, each of which awaits those that it needs."""
    import asyncio

    async def one(tasks: list[Any]) -> int:
        return add([await task for task in tasks])

    async def each(item: int) -> int:
        return increment(item)

    def build(work: Work) -> Run:
        async def everything() -> list[Any]:
            if work.shape == "mapped":
                return await asyncio.gather(*map(each, range(work.count)))
            if work.shape == "asleep":
                return await asyncio.gather(*(asleep() for _ in range(work.count)))
            tasks: list[Any] = []
            for needs in work.needs:
                tasks.append(asyncio.create_task(one([tasks[number] for number in needs])))
            return [await tasks[number] for number in work.sinks]

        return lambda: asyncio.run(everything())

    return build


WAYS: dict[str, Callable[[], Build]] = {
    "ours, local": ours_local,
    "ours, threads": ours_threads,
    "ours, processes": ours_processes,
    "ours, Dask": ours_dask,
    "dask.get": dask_get,
    "dask.threaded": dask_threaded,
    "dask.distributed": distributed,
    "limit: threads": threads,
    "limit: processes": processes,
    "limit: asyncio": coroutines,
}


class Counter:
    """Counts what Dask's connections of this process have sent and received."""

    def __init__(self) -> None:
        self.bytes = 0
        with suppress(ImportError):
            from tornado.iostream import IOStream

            read, write = IOStream.read_from_fd, IOStream.write_to_fd
            IOStream.read_from_fd = lambda stream, buf: self.add(read(stream, buf))
            IOStream.write_to_fd = lambda stream, data: self.add(write(stream, data))

    def add(self, count: int | None) -> int | None:
        """Add what one call moved."""
        self.bytes += count or 0
        return count


def resident(field: str) -> int:
    """Return a number of bytes from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def measure(build: Build, work: Work, counter: Counter) -> dict[str, Any]:
    """Build and run a graph once, and return what it took: seconds, bytes, and the sum of the values."""
    make: Callable[[], Any] = lambda: build(work)  # noqa: E731
    if getattr(build, "before_the_clock", False):
        make = build(work)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what is there now
    size, moved = resident("VmRSS"), counter.bytes
    cpu, start = time.process_time(), time.perf_counter()
    run = make()
    built = time.perf_counter()
    values = run()
    end = time.perf_counter()
    took = {"build": built - start, "run": end - built, "cpu": time.process_time() - cpu}
    took |= {"peak": resident("VmHWM") - size, "bytes": counter.bytes - moved}
    return took | {"value": sum(values)}


def way(name: str) -> Callable[[], Build]:
    """Return a way by its name."""
    if name in WAYS:
        return WAYS[name]
    sys.path.insert(0, str(Path(__file__).parent))
    import engine_rivals

    return engine_rivals.WAYS[name]


def main(name: str, packages: list[str]) -> None:
    """Answer each line of standard input."""
    # What packages print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers)

    counter = Counter()
    try:
        build = way(name)()
        for shape in ("chain", "mapped"):  # imports what is imported late, and starts servers
            measure(build, Work(shape, 3), counter)
    except Exception as error:  # noqa: BLE001 - the reason is what is asked for
        answer(failed=f"{type(error).__name__}: {error}")
        return
    answer(versions={package: metadata.version(package) for package in packages})
    for line in sys.stdin:
        work = Work(**json.loads(line))
        try:
            answer(**measure(build, work, counter))
        except Exception as error:  # noqa: BLE001
            answer(failed=type(error).__name__, message=str(error))


if __name__ == "__main__":
    if sys.argv[1:] == ["cluster"]:
        keep_cluster()
    else:
        main(sys.argv[1], sys.argv[2:])

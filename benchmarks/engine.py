"""What a flow costs for each task, by shape and size, beside other engines, each in its own environment.

    python benchmarks/engine.py [--sizes 100,1000,10000,100000,1000000] [--rounds 3] [--limit 120] [--memory 6]
                                [--only WORD] [--quick] [--json]

The work is `sum(inputs) + 1`, so all that is measured is overhead: to build the graph and to run it. A way that
does not return the right value is not measured. Each way has one process of its own, which does all its graphs, one
after another; in the pairs at the end it has a new one for each round. support/engine_ways.py and engine_rivals.py
have them all. Rounds of all ways are interleaved, and the fastest of each counts: the machine's other load slows all of
them down, never one up. --json has the medians, too.

Clusters are there before the clock starts; pools of threads and processes start and end with each run, for ours
and for the limits alike. Whoever has needed more than --limit seconds or --memory GB for a size is not asked again, nor for a larger
one; nor is who would need more seconds by what each task cost at the size before. Above 10,000 tasks one round counts.
Memory is what the way's process had at most above what it had before; that of the processes which it starts, such as
workers, is not counted. Ctrl-C and SIGTERM end all of them, and remove what was installed.

--only keeps what has this word, or one of several with commas between, in "shape: way", beside ours. --quick is for tests: 100 tasks, once, by what is
installed here and with no rival from the index.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Neighbours are no package, and `make bench` starts this with -P.
SUPPORT = Path(__file__).with_name("support")
sys.path.insert(0, str(SUPPORT))
import engine_rivals  # noqa: E402
import engine_ways  # noqa: E402
from engine_ways import SHAPES, Work  # noqa: E402
from meter import machine  # noqa: E402

PAIR_LIMIT, START_LIMIT = 120.0, 600.0
MANY = 10_000
"""Tasks above which one round counts."""
OURS = "ours, local"
NAMES = sorted([*engine_ways.WAYS, *engine_rivals.WAYS], key=lambda name: name.startswith("limit"))
# What each way needs of its own, and from the index; none: it runs where this runs.
PACKAGES = {
    "Hamilton": ("apache-hamilton",),
    "dask.get": ("dask", "numpy"),
    "dask.threaded": ("dask", "numpy"),
    "dask.distributed": ("distributed", "numpy"),
    "Luigi": ("luigi",),
    "Dagster": ("dagster",),
    "redun": ("redun",),
    "flytekit": ("flytekit",),
    "Prefect 3": ("prefect>=3",),
}
HERE = ("dask.get", "dask.threaded", "dask.distributed")
# Nobody is told what runs here, and a server is waited for on a busy machine.
ENVIRONMENT = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DO_NOT_TRACK": "1",
    "HAMILTON_TELEMETRY_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "240",
}
NO_MAPPING = {"dask.get", "dask.threaded", "Luigi", "redun"}
"""Those whose mapped tasks are tasks as all others."""
SLEEPERS, ARRAYS, NO_OPS = 10_000, (20, 100), 3_000
BIG_VALUES = (10, 50)


class Way:
    """The process of a way; it is started when it is first asked."""

    def __init__(
        self, name: str, place: Path, *, gigabytes: float = 0, quick: bool = False
    ) -> None:
        self.name, self.place, self.gigabytes = name, place, gigabytes
        self.packages = [] if quick else list(PACKAGES.get(name, ()))
        self.process: subprocess.Popen[str] | None = None
        self.failed, self.versions = "", dict[str, str]()
        self.errors = place / f"{name}.errors"

    def install(self, uv: Path, environment: Path) -> None:
        """Make its environment, which is shared by those that need the same."""
        if environment.exists():
            return
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, environment], check=True)
        options = ["-q", "--python", environment]
        done = subprocess.run(
            [uv, "pip", "install", *options, *self.packages],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            self.failed = "cannot be installed: " + " / ".join(done.stderr.split("\n")[-3:])

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        python = Path(sys.executable)
        if self.packages:
            environment = self.place / "-".join(self.packages)
            self.install(python.with_name("uv"), environment)
            python = environment / "bin" / "python"
        if self.failed:
            return
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "PYTHON"))}
        known = [package.partition(">")[0] for package in self.packages]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [python, "-P", SUPPORT / "engine_ways.py", self.name, *known],
                env=kept | ENVIRONMENT | {"PREFECT_HOME": str(self.place / "home")},
                cwd=self.place, text=True, start_new_session=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        if self.gigabytes:
            most = int(self.gigabytes * 1e9)
            resource.prlimit(self.process.pid, resource.RLIMIT_DATA, (most, most))
        answer = self.read(START_LIMIT)
        self.versions, self.failed = answer.get("versions", {}), answer.get("failed", "")
        if self.failed:
            self.stop()

    def read(self, limit: float) -> dict[str, Any]:
        """Return the next answer; one that does not come in time ends the process."""
        assert self.process is not None
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], limit)
        line = self.process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        status = self.process.wait() if ready else None
        self.stop()
        if status is None:
            return {"failed": f"more than {limit / 1.5:.0f} s"}
        reason = signal.Signals(-status).name if status < 0 else f"status {status}"
        return {"failed": reason, "message": self.errors.read_text()[-300:]}

    def ask(self, work: Work, limit: float) -> dict[str, Any]:
        """Return what a graph took, or the reason why there is nothing to return."""
        if self.process is None and not self.failed:
            self.start()
        if self.failed:
            return {"failed": self.failed}
        assert self.process is not None
        assert self.process.stdin is not None
        wanted = {"shape": work.shape, "count": work.count, "megabytes": work.megabytes}
        print(json.dumps(wanted), file=self.process.stdin, flush=True)
        answer = self.read(1.5 * limit)  # to lay out the graph is not counted
        if answer.get("failed") == "MemoryError":
            self.stop()
            return {"failed": f"more than {self.gigabytes:g} GB"}
        if "failed" not in answer and answer["value"] != expected(work):
            return {"failed": f"a wrong value: {answer['value']}"}
        if "failed" not in answer and answer["build"] + answer["run"] > limit:
            return {"failed": f"more than {limit:.0f} s"}
        return answer

    def stop(self) -> None:
        """End the process, and those that it has started."""
        if self.process is None:
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.process = None


def expected(work: Work) -> int:
    """Return the sum of the values of the tasks that nothing depends on, by a plain loop."""
    if work.shape == "asleep" or work.megabytes:
        return work.count
    if work.shape == "mapped":
        return work.count * (work.count + 1) // 2
    values: list[int] = []
    for needs in work.needs:
        values.append(sum(values[number] for number in needs) + 1)
    return sum(values[number] for number in work.sinks)


@dataclass
class Cell:
    """What a way took for a shape and a size: an answer for each round."""

    work: Work
    way: str
    answers: list[dict[str, Any]] = field(default_factory=list)
    failed: str = ""

    def best(self, *fields: str) -> float:
        """Return the least of the rounds."""
        return min(sum(answer[name] for name in fields) for answer in self.answers)

    def row(self) -> dict[str, Any]:
        """Return all that is known, for --json."""
        known: dict[str, Any] = {
            "shape": self.work.shape, "count": self.work.count, "way": self.way,
            "megabytes": self.work.megabytes,
        }  # fmt: skip
        if self.failed:
            return known | {"failed": self.failed}
        for name in ("build", "run", "cpu", "peak", "bytes"):
            values = [answer[name] for answer in self.answers]
            known |= {name: min(values), f"{name} median": statistics.median(values)}
        totals = [answer["build"] + answer["run"] for answer in self.answers]
        return known | {"total": min(totals), "total median": statistics.median(totals)}


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def wanted(name: str, only: str) -> bool:
    """Return whether a name has one of the words, separated by commas."""
    return any(word.lower() in name.lower() for word in only.split(","))


def measured(
    ways: dict[str, Way], works: list[Work], rounds: int, limit: float, only: str
) -> list[Cell]:
    """Ask every way for every graph, in turn; `works` has the smaller sizes first."""
    cells = []
    out = dict[tuple[str, str], str]()  # by way and shape: why it is asked for no more
    costs = dict[tuple[str, str], tuple[float, int]]()  # the seconds of a task, and of how many
    for work in works:
        row = [
            Cell(work, name)
            for name in ways
            if wanted(f"{work.shape}: {name}", only) or name == OURS
        ]
        if len(row) == 1 and not wanted(f"{work.shape}: {OURS}", only):
            continue  # there is nothing to compare
        cells += row
        for cell in row:
            cost, count = costs.get((cell.way, work.shape), (0, 0))
            key = (cell.way, work.shape)
            if cell.way != OURS and key not in out and cost * work.count > limit:
                out[key] = cell.failed = f"more than {limit:.0f} s, by its {count:,}"
        turns = 1 if work.count > MANY else rounds
        for turn in range(turns):
            say(f"{work.shape} of {work.count:,}: round {turn + 1} of {turns}")
            for cell in row:
                key = (cell.way, work.shape)
                if key in out:
                    cell.failed = cell.failed or "-"
                    continue
                answer = ways[cell.way].ask(work, limit)
                if "failed" not in answer:
                    cell.answers.append(answer)
                    costs[key] = (cell.best("build", "run") / work.count, work.count)
                    continue
                reason, message = str(answer["failed"]), str(answer.get("message", ""))
                told = reason.startswith(("more", "a wrong"))
                cell.failed = reason if told else f"dies: {reason}"
                if ways[cell.way].failed:
                    cell.failed = "left out"
                say(f"{cell.way}: {reason} {message[:300]}")
                out[key] = cell.failed
    return [cell for cell in cells if cell.answers or cell.failed]


def show(cells: list[Cell], shape: str, sizes: list[int], names: list[str]) -> None:
    """Print a table of a shape: ratios to ours, and our own microseconds."""
    found = {(cell.way, cell.work.count): cell for cell in cells if cell.work.shape == shape}
    if not found:
        return
    print(f"\n**{shape}** (microseconds a task of ours; ratios of the others)\n")
    print("| | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    print("|---" + "|--:" * len(sizes) + "|")
    for name in names:
        texts = []
        for size in sizes:
            cell, ours = found.get((name, size)), found.get((OURS, size))
            if cell is None or cell.failed:
                texts.append("" if cell is None else cell.failed)
                continue
            took = cell.best("build", "run")
            if name == OURS:
                build = cell.best("build") / size * 1e6
                texts.append(f"1.0 ({took / size * 1e6:.1f} µs, {build:.1f} to build)")
            elif ours is None or ours.failed:
                texts.append(f"({took / size * 1e6:.1f} µs)")
            else:
                texts.append(ratio(took, ours.best("build", "run")))
        if any(texts):
            star = "\\*" if shape == "mapped" and name in NO_MAPPING else ""
            print(f"| {name}{star} | " + " | ".join(texts) + " |")
    sys.stdout.flush()


def ratio(one: float, other: float) -> str:
    """Return a ratio with two digits that count."""
    value = one / other if other else float("inf")
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def show_ours(cells: list[Cell], sizes: list[int]) -> None:
    """Print what each task of ours costs by the size of its graph."""
    found = {(cell.work.shape, cell.work.count): cell for cell in cells if cell.way == OURS}
    print(f"\n**{OURS}, by size** (microseconds a task, to build + to run)\n")
    print("| | " + " | ".join(f"{size:,}" for size in sizes) + " |")
    print("|---" + "|--:" * len(sizes) + "|")
    for shape in SHAPES:
        texts = []
        for size in sizes:
            cell = found.get((shape, size))
            if cell is None or cell.failed:
                texts.append("" if cell is None else cell.failed)
                continue
            build, run = (cell.best(each) / size * 1e6 for each in ("build", "run"))
            texts.append(f"{build:.1f} + {run:.1f}")
        if any(texts):
            print(f"| {shape} | " + " | ".join(texts) + " |")


def show_memory(cells: list[Cell], sizes: list[int], names: list[str]) -> None:
    """Print what each way has in memory at most, for each task of the largest size."""
    rows = {(cell.way, cell.work.shape): cell for cell in cells if cell.work.count == sizes[-1]}
    shapes = [shape for shape in SHAPES if any(key[1] == shape for key in rows)]
    print(f"\n**Memory** (KB for each of {sizes[-1]:,} tasks, at the peak)\n")
    print("| | " + " | ".join(shapes) + " |")
    print("|---" + "|--:" * len(shapes) + "|")
    for name in names:
        texts = []
        for shape in shapes:
            cell = rows.get((name, shape))
            if cell is None or cell.failed:
                texts.append("")
                continue
            # The first round's, for what is freed then is used again.
            texts.append(f"{cell.answers[0]['peak'] / sizes[-1] / 1e3:.1f}")
        if any(texts):
            print(f"| {name} | " + " | ".join(texts) + " |")


def show_pair(title: str, cells: list[Cell]) -> None:
    """Print a table of one graph, run by two ways: ours, and what is compared with it."""
    print(f"\n**{title}**\n")
    print(
        "| | wall (s) | CPU (s) | peak (MB) | MB sent and received | wall, to last | CPU, to last |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|")
    rival = cells[-1]
    for cell in cells:
        if cell.failed:
            print(f"| {cell.way} | {cell.failed} |" + " |" * 5)
            continue
        took, cpu = cell.best("build", "run"), cell.best("cpu")
        peak = max(answer["peak"] for answer in cell.answers)
        line = f"| {cell.way} | {took:.2f} | {cpu:.2f} | {peak / 1e6:,.0f} "
        line += f"| {cell.best('bytes') / 1e6:,.2f} | "
        if cell is not rival and not rival.failed:
            line += f"{ratio(took, rival.best('build', 'run'))} | {ratio(cpu, rival.best('cpu'))} |"
        else:
            line += " | |"
        print(line)
    sys.stdout.flush()


EXTRAS = (
    (f"Async: {SLEEPERS:,} tasks that sleep 1 s", Work("asleep", SLEEPERS), (OURS, "limit: asyncio")),
    (
        f"Memory: a chain of {ARRAYS[0]} arrays of {ARRAYS[1]} MB",
        Work("arrays", *ARRAYS), (OURS, "dask.threaded"),
    ),
    (
        f"Dask: a chain of {BIG_VALUES[0]} arrays of {BIG_VALUES[1]} MB (CPU and memory of the client)",
        Work("large values", *BIG_VALUES), ("ours, Dask", "dask.distributed"),
    ),
    (
        f"Dask: {NO_OPS:,} mapped no-ops (CPU and memory of the client)",
        Work("mapped", NO_OPS), ("ours, Dask", "dask.distributed"),
    ),
)  # fmt: skip


def extras(place: Path, rounds: int, only: str, versions: dict[str, str]) -> dict[str, list[Cell]]:
    """Run what is compared in pairs, each in processes of its own."""
    found = {}
    for title, work, names in EXTRAS:
        if not wanted(title, only):
            continue
        cells = [Cell(work, name) for name in names]
        for turn in range(rounds):
            say(f"{title}: round {turn + 1} of {rounds}")
            for cell in cells:
                if cell.failed:
                    continue
                way = Way(cell.way, place)
                try:
                    answer = way.ask(work, PAIR_LIMIT)
                finally:
                    way.stop()
                versions.update(way.versions)
                if "failed" in answer:
                    message = f"{answer['failed']}: {answer.get('message', '')}"
                    cell.failed = message.removesuffix(": ")
                else:
                    cell.answers.append(answer)
        found[title] = cells
    return found


def end(number: int, _: Any) -> None:
    """End what is begun, undisturbed by further signals: `timeout` sends to a group what its command has got."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes_of_all = "100,1000,10000,100000,1000000"
    parser.add_argument("--sizes", default=sizes_of_all, help="tasks [%(default)s]")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one [%(default)s]")
    parser.add_argument("--memory", type=float, default=6, help="GB for one [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count [%(default)s]")
    parser.add_argument("--only", default="", metavar="WORD", help="what has this word in its name")
    parser.add_argument("--quick", action="store_true", help="100 tasks, once, with no rivals")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    sizes = [100] if options.quick else sorted(int(size) for size in options.sizes.split(","))
    rounds = 1 if options.quick else options.rounds
    names = [n for n in NAMES if not options.quick or n not in PACKAGES or n in HERE]
    signal.signal(signal.SIGTERM, end)
    before, began = os.getloadavg()[0], time.strftime("%H:%M")
    versions = {"Python": sys.version.split()[0]}
    cells, pairs = list[Cell](), dict[str, list[Cell]]()
    with tempfile.TemporaryDirectory(prefix="prefect-bench-", ignore_cleanup_errors=True) as place:
        ways = {
            name: Way(name, Path(place), gigabytes=options.memory, quick=options.quick)
            for name in names
        }
        try:
            for shape in SHAPES:
                works = [Work(shape, size) for size in sizes]
                cells += measured(ways, works, rounds, options.limit, options.only)
                if not options.json:
                    show(cells, shape, sizes, names)
        finally:
            for way in ways.values():
                way.stop()
                versions |= way.versions
        if not options.quick:
            pairs = extras(Path(place), rounds, options.only, versions)
    load = (before, os.getloadavg()[0])
    if options.json:
        rows = [cell.row() for cell in cells + [one for pair in pairs.values() for one in pair]]
        found = {"rounds": rounds, "load": load, "versions": versions, "rows": rows}
        print(json.dumps(found, indent=2))
        return
    if cells:
        show_ours(cells, sizes)
        show_memory(cells, sizes, names)
    for title, found_cells in pairs.items():
        show_pair(title, found_cells)
    print("\n".join(["", *machine(versions)]))
    print(f"- The least of {rounds} rounds, begun at {began}")
    print(f"- Load of the last minute, before and after: {load[0]:.1f} to {load[1]:.1f}")
    print(r"- \*: has nothing for mapping; its tasks are tasks as all others")
    for name, way in ways.items():
        if way.failed:
            print(f"- {name} is left out: {' '.join(way.failed.split())[:300]}")


if __name__ == "__main__":
    main()

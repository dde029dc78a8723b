"""Whole commands in each place where a packaged flow runs, beside what people would run instead.

    python benchmarks/places.py [--runs 5] [--cold 2] [--only WORD] [--quick] [--json]

The same two functions everywhere: one adds, and prints the first line; the other doubles, or sums a
frame of pandas. The wheel of this checkout, and each rival, is installed into an environment of its own, with
bytecode. In each round every program of a contest runs once, in turn, after a round that does not count.
Seconds are medians of whole commands, from their start: to the first line of the first task, and to the exit. A
ratio is the median of the rounds' ratios, so that what else the machine does meets both.

Cold is a first run: neither environment nor image is there, and images stand in a registry on this
machine. Packages' downloads are kept, for they would measure the network. A changed flow is another one in
each round, on a base and packages that everybody has.

CPU is that of all processes, with what the container engine does; memory is the most that they had at once,
shared pages counted once, from a run of its own whose time does not count. Disk is all that is kept for the
flow afterwards: artifact, caches, downloads, layers.

Images need the container engine, the registry and the base of `make services`; without them these lines
are left out, and said to be. --quick is for tests: one round of a trivial flow, with what is installed
here and with no rival from the index.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# Neighbours are no package, and `make bench` starts this with -P.
sys.path.insert(0, str(Path(__file__).with_name("support")))
from image_rivals import Daemon
from meter import Engine, Meter, machine
from place_rivals import KINDS, TRIVIAL, Bench, Images, Program, environments

if TYPE_CHECKING:
    from collections.abc import Callable

    from meter import Taken

CHANGED = "changed"
READY = "functions, ready environment"
PREFECT_3 = "Prefect 3's bundle is left out: what executes one asks a server for its flow run, and reports to it."


class Contest:
    """Programs that do the same, the first of them in a ready environment."""

    def __init__(self, name: str, programs: list[Program], prepare: Callable[[], object]) -> None:
        self.name, self.programs, self.prepare = name, programs, prepare

    def rows(self) -> list[dict[str, object]]:
        """Return a row for each program."""
        named = {program.name: program for program in self.programs}
        return [self._row(program, named) for program in self.programs]

    def _row(self, program: Program, named: dict[str, Program]) -> dict[str, object]:
        row: dict[str, object] = {"contest": self.name, "program": program.name}
        if program.failed:
            return row | {"failed": program.failed}
        for when in ("warm", "cold"):
            taken: list[Taken] = getattr(program, when)
            for field in ("first", "exit", "cpu"):
                values = [getattr(one, field) for one in taken]
                row[f"{when} {field}"] = statistics.median(values) if values else None
        row |= {"peak": program.peak, "disk": program.disk, "rival": program.rival}
        rival = named.get(program.rival)
        for field in ("first", "exit"):
            row[f"{field} to ready"] = ratio(program, named.get(READY), field)
            row[f"{field} to rival"] = ratio(program, rival, field)
        row["cold exit to rival"] = ratio(program, rival, "exit", "cold")
        if program.below is not None:
            limit, whom = program.below
            row |= {"limit": limit, "watched": f"{program.watched} to {whom}"}
        return row


def ratio(program: Program, other: Program | None, field: str, when: str = "warm") -> float | None:
    """Return the median of the rounds' ratios."""
    if other is None or other is program:
        return None
    pairs = zip(getattr(program, when), getattr(other, when), strict=False)
    found = [getattr(one, field) / getattr(two, field) for one, two in pairs]
    return statistics.median(found) if found else None


class Runner:
    """Runs contests."""

    def __init__(self, bench: Bench, meter: Meter) -> None:
        self.bench, self.meter = bench, meter

    def once(self, program: Program, *, sampled: bool = False) -> Taken | None:
        """Run a program; None where it has failed."""
        try:
            return self.meter.run(
                program.line, env=self.bench.environment | program.env, cwd=self.bench.place,
                marker=f"first line {self.bench.nonce}", sampled=sampled,
            )  # fmt: skip
        except RuntimeError as error:
            program.failed = str(error)
            return None

    def run(
        self, contest: Contest, runs: int, cold: int, loads: dict[str, tuple[float, float]]
    ) -> list[dict[str, object]]:
        """Run everything, cold and warm, in turn."""
        before = os.getloadavg()[0]
        self.make_ready(contest, cold)
        for turn in range(cold):
            say(f"{contest.name}: cold round {turn + 1} of {cold}")
            for program in self.those_left(contest):
                self.from_nothing(program)
        for turn in range(-1, runs):  # the first does not count, but for memory
            say(f"{contest.name}: round {turn + 1} of {runs}")
            if contest.name.startswith(CHANGED):
                contest.prepare()
            left = self.those_left(contest)
            start = max(turn, 0) * len(left) // runs  # nobody always comes after the same one
            for program in left[start:] + left[:start]:
                taken = self.once(program, sampled=turn == -1)
                if taken is not None and turn == -1:
                    program.peak = taken.peak
                elif taken is not None:
                    program.warm.append(taken)
        loads[contest.name] = before, os.getloadavg()[0]
        return contest.rows()

    def make_ready(self, contest: Contest, cold: int) -> None:
        """Build what is run, and have the downloads that first runs need."""
        contest.prepare()
        for program in contest.programs:
            try:
                program.prepare()
            except RuntimeError as error:
                program.failed = str(error)
        for program in self.those_left(contest):
            if program.forget is not None and cold:
                self.once(program)

    def from_nothing(self, program: Program) -> None:
        """Run a program for the first time, as it were, and see what it keeps."""
        if program.forget is not None:
            program.forget()
            if (taken := self.once(program)) is not None:
                program.cold.append(taken)
        if program.kept is not None and program.disk is None and not program.failed:
            program.disk = program.kept()

    @staticmethod
    def those_left(contest: Contest) -> list[Program]:
        """Return those that have not failed."""
        return [program for program in contest.programs if not program.failed]


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def contests(bench: Bench, images: Images | None, *, quick: bool) -> list[Contest]:
    """Return what is measured."""
    pyz = not quick and ".pyz" in bench.text("prefect build --help")
    sandboxed = "--image" in bench.text("prefect run --help")
    found = []
    for number, kind in enumerate([TRIVIAL] if quick else KINDS):
        stem, changed = f"flow{number}", f"changed{number}"
        programs = environments(bench, stem, kind, pex=not quick, pyz=pyz)
        if images is not None:
            programs += images.programs(stem)

        def prepare(stem: str = stem, kind: str = kind) -> None:
            bench.write(stem, kind, bench.versions)

        def change(stem: str = changed, kind: str = kind) -> None:
            bench.write(stem, kind, bench.versions)
            bench.write_dockerfile(stem, kind, images.base if images else "")

        found.append(Contest(kind, programs, prepare))
        if images is not None:
            programs = images.changed(changed, sandboxed=sandboxed)
            found.append(Contest(f"{CHANGED}: {kind}", programs, change))
    return found


def set_up(bench: Bench, daemon: Daemon | None, *, quick: bool) -> None:
    """Install what is measured, and learn its versions."""
    python = sys.version.split()[0]
    if quick:
        bench.use_installed()
        bench.install_rival("ready")
    else:
        bench.install()
        pandas = bench.text("python -c 'import pandas; print(pandas.__version__)'")
        bench.install_rival("ready", f"pandas=={pandas}")
        bench.install_rival("empty")
        bench.install_rival("pex", "pex")
        bench.versions["pandas"] = pandas
    bench.call("prefect keygen flow.key")
    lines = {"prefect": "prefect --version", "uv": f"{bench.uv} --version"}
    if not quick:
        lines["pex"] = "pex/bin/pex --version"
    if daemon is not None:
        program = daemon.program
        client = bench.text(program + " version --format '{{.Client.Version}}'")
        bench.versions["docker"] = f"{client} (engine {daemon.client.version()['Version']})"
        # Clients before 23 have BuildKit in them, later ones as a plugin.
        builtin = int(client.partition(".")[0]) < 23
        if not builtin and not bench.text(f"{program} buildx version 2>/dev/null || true"):
            bench.environment["DOCKER_BUILDKIT"] = "0"
        kind = "BuildKit" if bench.environment["DOCKER_BUILDKIT"] == "1" else "the classic builder"
        bench.versions["docker build"] = f"by {kind}"
        lines |= {"podman": "podman --version", "bubblewrap": "bwrap --version"}
    for name, line in lines.items():
        words = bench.text(f"{line} 2>/dev/null || echo missing").split()
        bench.versions[name] = next((x for x in words if x[:1].isdigit()), words[-1])
    bench.versions["Python"] = python


def cell(value: object, scale: float = 1, digits: int = 0) -> str:
    """Return a number for the table."""
    if not isinstance(value, (int, float)):
        return ""
    return f"{value / scale:,.{digits}f}"


def show(rows: list[dict[str, object]], contest: str) -> None:
    """Print a Markdown table of a contest."""
    print(f"\n**{contest}** (seconds and MB)\n")
    print(
        "| | first line | exit | CPU | cold: first line | cold: exit | memory | disk | exit, to ready "
        "| to rival: first line | to rival: exit | target |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|")
    for row in rows:
        if row["contest"] != contest:
            continue
        if "failed" in row:
            print(
                f"| {row['program']} | does not work: {' '.join(str(row['failed']).split())} |"
                + " |" * 10
            )
            continue
        seconds = [cell(row[f"warm {field}"], 1, 2) for field in ("first", "exit", "cpu")]
        seconds += [cell(row[f"cold {field}"], 1, 2) for field in ("first", "exit")]
        sizes = [cell(row["peak"], 1e6), cell(row["disk"], 1e6, 1)]
        ratios = [cell(row[f"{name}"], 1, 2) for name in RATIOS]
        verdict = ""
        if "limit" in row:
            value = row[str(row["watched"])]
            met = isinstance(value, float) and value <= row["limit"]  # type: ignore[operator]
            verdict = f"{row['watched']} ≤ {row['limit']}: {'met' if met else 'missed'}"
        print("| " + " | ".join([str(row["program"]), *seconds, *sizes, *ratios, verdict]) + " |")
    sys.stdout.flush()


RATIOS = ("exit to ready", "first to rival", "exit to rival")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="rounds that count [%(default)s]")
    parser.add_argument("--cold", type=int, default=2, help="first runs [%(default)s]")
    parser.add_argument(
        "--only", default="", metavar="WORD", help="contests with this in their name"
    )
    parser.add_argument("--quick", action="store_true", help="a trivial flow, once, with no rivals")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    runs, cold = (1, 1) if options.quick else (options.runs, options.cold)
    registry, base = (os.environ.get(f"PREFECT_TEST_{x}", "") for x in ("REGISTRY", "IMAGE"))
    loads: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="prefect-bench-", ignore_cleanup_errors=True) as place:
        bench, images, daemon, rows = Bench(Path(place)), None, None, list[dict[str, object]]()
        engine = Engine("")
        if not options.quick and registry and base:
            daemon = Daemon()
            daemon.pull(base)
            engine = Engine(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
        set_up(bench, daemon, quick=options.quick)
        try:
            images = None if daemon is None else Images(bench, daemon, base, registry)
            runner = Runner(bench, Meter(engine))
            for contest in contests(bench, images, quick=options.quick):
                if options.only in contest.name:
                    rows += runner.run(contest, runs, cold, loads)
                    if not options.json:
                        show(rows, contest.name)
        finally:
            if images is not None:
                images.close()
    if options.json:
        found = {"runs": runs, "cold": cold, "loads": loads, "versions": bench.versions}
        print(json.dumps(found | {"rows": rows}, indent=2))
        return
    print("\n".join(["", *machine(bench.versions)]))
    print(f"- Medians of {runs} warm and {cold} cold runs")
    told = [f"{name} {one:.1f} to {other:.1f}" for name, (one, other) in loads.items()]
    print(f"- Load of the last minute, before and after: {'; '.join(told)}")
    if images is None:
        print("- Images are left out: `make services`, and source .services/env")
    elif not engine.top:
        print("- What the container engine does is not counted: it has no namespace of its own")
    print(f"- {PREFECT_3}")


if __name__ == "__main__":
    main()

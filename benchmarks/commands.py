"""Whole commands, from the process's start to its end, beside what people would start instead.

    python benchmarks/commands.py [--runs 15] [--only WORD] [--json]

The wheel of this checkout is installed into an environment of its own, with bytecode, as users have
it. In each round every program of a group runs once, in turn; medians are compared, as ratios.

A bare script imports cloudpickle and what the flow imports, and calls the same functions. A changed
flow is another one in each round, so that no cache knows it; `docker build` gets the directory that
`prefect build --dockerfile` wrote of it before, and builds with BuildKit. What loads one file is the
engine alone: a tar archive with a layer of one small file, on the base's layers, sent to it. That
and `build()` run in one process, this one.

Images need the container engine, the registry and the base of `make services`; without them these
lines are left out, and said to be.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import tarfile
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

# Neighbours are no package, and `make bench` starts this with -P.
sys.path.insert(0, str(Path(__file__).with_name("support")))
from checkout import Checkout
from image_rivals import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable

FLOW = """{imports}
from prefect import Flow, task

@task
def double(x):
    return 2 * x

@task
def shown(x):
    print({nonce!r}, {expression})

with Flow("measured") as flow:
    shown(double(21))
"""
SCRIPT = """import cloudpickle
{imports}

def double(x):
    return 2 * x

def shown(x):
    print({expression})

shown(double(21))
"""
KINDS = {
    "a trivial flow": ("", "x"),
    "a flow with pandas": ("import pandas", "pandas.DataFrame({'x': [x]}).x.sum()"),
}
IMAGE, RUN = "prefect-bench/commands:1", "prefect-bench/run:1"
PUSHED, THEIRS = "bench/commands:1", "prefect-bench/docker:1"


@dataclass
class Contest:
    """Programs that do the same, and how much longer than the first the others may take."""

    name: str
    programs: dict[str, Callable[[], object]]
    targets: dict[str, float]
    prepare: Callable[[], object] = lambda: None
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def round(self) -> None:
        """Run each program once."""
        self.prepare()
        for name, program in self.programs.items():
            begin = time.perf_counter()
            program()
            self.seconds.setdefault(name, []).append(time.perf_counter() - begin)

    def rows(self) -> list[dict[str, object]]:
        """Return a row for each program."""
        medians = {name: statistics.median(found) for name, found in self.seconds.items()}
        first = next(iter(medians.values()))
        return [
            {
                "contest": self.name, "program": name, "ms": median * 1000,
                "ratio": median / first, "target": self.targets.get(name),
            }
            for name, median in medians.items()
        ]  # fmt: skip


class Bench(Checkout):
    """A directory with an installed wheel, flows and keys."""

    def write(self, stem: str, kind: str) -> None:
        """Write a flow that is not as the one before."""
        imports, expression = KINDS[kind]
        values = {"imports": imports, "expression": expression, "nonce": uuid.uuid4().hex}
        (self.place / f"{stem}.py").write_text(FLOW.format(**values))
        (self.place / f"{stem}_bare.py").write_text(SCRIPT.format(**values))


def small_contests(bench: Bench) -> list[Contest]:
    """Return what needs no container engine."""
    quick = {
        "prefect --version": "prefect --version",
        "prefect --help": "prefect --help",
        "completion": "prefect completion bash -- build --im",
    }
    contests = [
        Contest(
            "answers at once",
            {"bare interpreter": bench.program("python -c pass")}
            | {name: bench.program(line) for name, line in quick.items()},
            dict.fromkeys(quick, 2.0),
        )
    ]
    bench.call("prefect keygen flow.key")
    for number, kind in enumerate(KINDS):
        stem = f"flow{number}"
        bench.write(stem, kind)
        sealed = {
            "prefect build -o X.flow": f"prefect build {stem}.py -o {stem}.flow --key-file flow.key",
            "prefect run X.flow": f"prefect run {stem}.flow --key-file flow.key",
            "prefect info X.flow": f"prefect info {stem}.flow --key-file flow.key",
        }
        contests.append(
            Contest(
                kind,
                {"bare script": bench.program(f"python {stem}_bare.py")}
                | {name: bench.program(line) for name, line in sealed.items()},
                dict.fromkeys(list(sealed)[:2], 1.1),
            )
        )
    return contests


def one_file_archive(daemon: Daemon, base: str) -> Callable[[], object]:
    """Return what has the engine load an image of a base's layers and a layer of one small file."""
    layers = daemon.client.images.get(base).attrs["RootFS"]["Layers"]

    def load() -> None:
        import hashlib  # noqa: PLC0415

        layer = tar_of({"opt/nonce": uuid.uuid4().bytes})
        digest = "sha256:" + hashlib.sha256(layer).hexdigest()
        config = {
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [*layers, digest]},
        }  # fmt: skip
        names = [f"{one[7:]}/layer.tar" for one in [*layers, digest]]
        manifest = [{"Config": "config.json", "RepoTags": [THEIRS], "Layers": names}]
        files = {"manifest.json": json.dumps(manifest).encode(), names[-1]: layer}
        daemon.client.images.load(tar_of(files | {"config.json": json.dumps(config).encode()}))

    return load


def tar_of(files: dict[str, bytes]) -> bytes:
    """Return a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def image_contests(bench: Bench, daemon: Daemon, base: str, registry: str) -> list[Contest]:
    """Return what builds, pushes and runs images."""
    from prefect import Flow, task  # noqa: PLC0415
    from prefect.environments import ContainerEnvironment  # noqa: PLC0415

    docker, theirs, pushed = daemon.program, f"{registry}/bench/docker:1", f"{registry}/{PUSHED}"
    daemon.pull(base)
    bench.write("runs", "a trivial flow")
    bench.call(f"prefect build runs.py --image {base} --tag {RUN}")

    def change() -> None:
        bench.write("image", "a trivial flow")
        bench.call(f"prefect build image.py --image {base} --dockerfile context")

    def build_here() -> None:
        nonce = uuid.uuid4().hex

        @task
        def work() -> str:
            return nonce

        with Flow("measured") as flow:
            work()
        ContainerEnvironment(base, tag=IMAGE).build(flow)

    ours = f"prefect build image.py --image {base}"
    return [
        Contest(
            "a changed flow, into the engine",
            {
                "docker build": bench.program(f"{docker} build -q -t {THEIRS} context"),
                "prefect build --image": bench.program(f"{ours} --tag {IMAGE}"),
            },
            {"prefect build --image": 1.2},
            change,
        ),
        Contest(
            "a changed flow, into a registry",
            {
                "docker build && docker push": bench.program(
                    f"{docker} build -q -t {theirs} context", f"{docker} push -q {theirs}"
                ),
                "prefect build --push": bench.program(f"{ours} --push {pushed}"),
            },
            {"prefect build --push": 0.6},
            change,
        ),
        Contest(
            "an image's flow",
            {
                "docker run": bench.program(f"{docker} run --rm {RUN}"),
                "prefect run IMAGE": bench.program(f"prefect run {RUN}"),
            },
            {"prefect run IMAGE": 1.3},
        ),
        Contest(
            "a changed flow, in one process",
            {"the engine loads one file": one_file_archive(daemon, base), "build()": build_here},
            {"build()": 1.2},
        ),
    ]


def measure(contests: list[Contest], runs: int) -> list[dict[str, object]]:
    """Run everything once for the caches, then so many times."""
    rows = []
    for contest in contests:
        contest.round()
        contest.seconds.clear()
        for _ in range(runs):
            contest.round()
        rows += contest.rows()
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument(
        "--only", default="", metavar="WORD", help="contests with this in their name"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    registry, base = (os.environ.get(f"PREFECT_TEST_{x}", "") for x in ("REGISTRY", "IMAGE"))
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        bench.install()
        contests = small_contests(bench)
        if not (registry and base):
            print("images are left out: `make services`, and source .services/env", file=sys.stderr)
            rows = measure([one for one in contests if options.only in one.name], options.runs)
        else:
            with Daemon() as daemon:
                contests += image_contests(bench, daemon, base, registry)
                try:
                    rows = measure([c for c in contests if options.only in c.name], options.runs)
                finally:
                    daemon.clean()
    if options.json:
        print(json.dumps({"runs": options.runs, "rows": rows}, indent=2))
        return
    print(f"medians of {options.runs} runs")
    contest = None
    for row in rows:
        if row["contest"] != contest:
            contest = row["contest"]
            print(f"\n{contest:40} {'ms':>8} {'ratio':>7} {'target':>7}")
        target, ratio = row["target"], row["ratio"]
        verdict = (
            "" if target is None else f"<={target:5.2f}  {'met' if ratio <= target else 'missed'}"
        )
        print(f"  {row['program']:38} {row['ms']:8.1f} {ratio:7.2f} {verdict}")


if __name__ == "__main__":
    main()

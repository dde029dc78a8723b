"""From a change to an image that runs, and to one in a registry: ours and others.

    python benchmarks/images.py [--rounds 3] [--quick 3] [--only WORD] [--json]

The same base, the same locked dependencies (pandas and what it needs) with checked hashes and with
bytecode, and of the others Dockerfiles as their manuals recommend them: a venv, the lock copied
before the flow, cache mounts where there are any. pyoci, which reads no Dockerfile, gets a venv made
by uv. They contain no prefect, which ours does. Each of theirs is a process to start, as ours is by
the command: compare that with them where it matters.

In each round everybody starts cold, with neither layers nor a builder's cache; then come a changed
dependency, a changed flow, and no change. Each change is a new one, so that no cache knows it.
Those that keep downloads, as ours does, are also measured with these warm and without layers. Medians are compared. "kept" is what the container engine and the
builder's own cache grew by, "sent" is counted by a relay in front of the registry that all of them
go through.

It needs the container engine, the registry and the base of `make services`, and buildah.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Neighbours are no package, and `make bench` starts this with -P.
sys.path.insert(0, str(Path(__file__).with_name("support")))
from image_rivals import (
    COLD,
    FLOW,
    LARGE,
    NOTHING,
    RIVALS,
    SMALL,
    WARM,
    Daemon,
    Rival,
    reason_of,
)
from relay import Relay

from prefect import Flow, task
from prefect.dependencies.lock import lock
from prefect.environments import ContainerEnvironment
from prefect.oci.layers.writing import Entry, write_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

START = {"numpy": "2.2.6", "pandas": "2.2.3", "tzdata": "2024.2"}
LOCKS = {COLD: {}, SMALL: {"tzdata": "2024.1"}, LARGE: {"pandas": "2.2.2"}}
QUICK = (FLOW, NOTHING)  # more than once in a round
OURS, COMMAND = "ours", "ours: prefect build"
COMMAND_FLOW = """from prefect import Flow, task

@task
def work():
    import pandas as pd
    print(pd.__version__, {nonce!r})
    return pd.__version__, {nonce!r}

with Flow("measured") as flow:
    work()
"""


def make_flow(nonce: str) -> Flow:
    """Return a small flow that uses pandas."""

    @task
    def work() -> tuple[str, str]:
        import pandas as pd  # noqa: PLC0415

        print(pd.__version__, nonce)
        return pd.__version__, nonce

    with Flow("measured") as flow:
        work()
    return flow


class Ours:
    """This package, in this process."""

    name, needs_daemon_to_push = OURS, False
    cases: tuple[str, ...] = (COLD, WARM, SMALL, LARGE, FLOW, NOTHING)

    def __init__(self, base: str, work: Path, daemon: Daemon) -> None:
        self.base, self.daemon, self.tag = base, daemon, "prefect-bench/ours:1"
        self.store, self.snapshot = work / "cache" / "prefect", work / "snapshot"
        self.downloads = work / "uv"
        self.changed = ""

    def environment(self, lock_file: Path) -> ContainerEnvironment:
        """Return an environment with these dependencies."""
        return ContainerEnvironment(self.base, tag=self.tag, lock=lock_file)

    def start(self, case: str) -> None:
        """Have what a case starts from: nothing, or what the last cold start left."""
        if self.changed:
            self.daemon.remove(self.changed)
        self.changed = ""
        if case in {COLD, WARM}:
            self.forget()
            if case == COLD:
                shutil.rmtree(self.downloads, ignore_errors=True)
            # Layers are reproducible: with another image of the same, nothing would be cold.
            if self.daemon.client.images.list(all=True, filters={"label": "prefect.version"}):
                raise RuntimeError(
                    "The container engine has images of prefect: remove them before measuring"
                )
        elif case in LOCKS:
            if not self.snapshot.exists():
                shutil.copytree(self.store, self.snapshot)
            shutil.rmtree(self.store)
            shutil.copytree(self.snapshot, self.store)

    def build(self, lock_file: Path, nonce: str, case: str) -> None:
        """Have an image in the engine."""
        image, _ = self.environment(lock_file).build(make_flow(nonce))
        self.changed = image.id if case in LOCKS and case != COLD else ""

    def push(self, lock_file: Path, nonce: str, target: str) -> None:
        """Have an image in the registry."""
        self.environment(lock_file).push(target, make_flow(nonce))

    def check(self) -> str:
        """Run what was built."""
        return self.daemon.run(self.tag)

    def kept(self) -> int:
        """Return how many bytes the container engine and our cache have."""
        files = (path for path in self.store.rglob("*") if path.is_file())
        return self.daemon.kept() + sum(path.stat().st_size for path in files)

    def forget(self) -> None:
        """Remove everything that was made."""
        self.daemon.clean()
        for directory in (self.store, self.snapshot):
            shutil.rmtree(directory, ignore_errors=True)


class OurCommand(Ours):
    """This package, as a process for each build."""

    name, cases = COMMAND, (FLOW, NOTHING)

    def __init__(self, base: str, work: Path, daemon: Daemon) -> None:
        super().__init__(base, work, daemon)
        self.file, self.bytecode = work / "measured_flow.py", work / "bytecode"

    def build(self, lock_file: Path, nonce: str, case: str) -> None:  # noqa: ARG002
        """Have an image in the engine."""
        self.call(lock_file, nonce, "--tag", self.tag)

    def push(self, lock_file: Path, nonce: str, target: str) -> None:
        """Have an image in the registry."""
        self.call(lock_file, nonce, "--push", target)

    def call(self, lock_file: Path, nonce: str, *options: str) -> None:
        """Run the command."""
        self.file.write_text(COMMAND_FLOW.format(nonce=nonce))
        command = [sys.executable, "-m", "prefect", "build", str(self.file), "--image", self.base]
        command += ["--lock", str(lock_file), *options]
        # With its bytecode, as pip installs it, wherever it comes from here.
        compiled = {"PYTHONPYCACHEPREFIX": str(self.bytecode), "PYTHONDONTWRITEBYTECODE": ""}
        subprocess.run(command, check=True, capture_output=True, env=os.environ | compiled)


def measure(builder: Ours | Rival, case: str, lock_file: Path, nonce: str, target: str,
            relay: Relay) -> dict[str, float]:  # fmt: skip
    """Bring one change to where it runs, and to the registry."""
    builder.start(case)
    kept, started = builder.kept(), time.perf_counter()
    builder.build(lock_file, nonce, case)
    runnable = time.perf_counter() - started
    kept = builder.kept() - kept
    if not builder.needs_daemon_to_push:  # and so it starts from the change again
        builder.start(case)
        nonce = nonce if case == NOTHING else uuid.uuid4().hex
    sent, started = relay.sent, time.perf_counter()
    builder.push(lock_file, nonce, target)
    pushed = time.perf_counter() - started + (runnable if builder.needs_daemon_to_push else 0)
    time.sleep(0.1)  # what the relay counts comes a little later
    return {"runnable": runnable, "pushed": pushed, "kept": kept, "sent": relay.sent - sent}


def measure_all(builder: Ours | Rival, locks: dict[str, Path], quick: int, target: str,
                relay: Relay) -> Iterator[tuple[str, dict[str, float]]]:  # fmt: skip
    """Go through one builder's cases."""
    nonce = uuid.uuid4().hex
    for case in builder.cases:
        if case not in {COLD, WARM}:  # what is changed now is there, as it was before any change
            builder.start(case)
            builder.build(locks[COLD], nonce, NOTHING)
            builder.push(locks[COLD], nonce, target)
        for _ in range(quick if case in QUICK else 1):
            if case != NOTHING:
                nonce = uuid.uuid4().hex
            locked = locks.get(case, locks[COLD])

            # What is reproducible would be in the repository already.
            place = f"{target.removesuffix(':1')}-warm:1" if case == WARM else target
            yield case, measure(builder, case, locked, nonce, place, relay)
            # A builder that is fast because it missed the change must not win.
            if (case == FLOW or builder.needs_daemon_to_push) and nonce not in builder.check():
                raise RuntimeError(f"{builder.name}, {case}: what was built is not this change")
    builder.forget()


def unpack(environment: ContainerEnvironment, base_layers: int, place: Path) -> list[Any]:
    """Return for each of an image's own layers its digest, its size, and its files as entries."""
    environment.export(place / "layout")
    blobs = place / "layout" / "blobs" / "sha256"
    index = json.loads((place / "layout" / "index.json").read_text())

    def blob(descriptor: dict[str, Any]) -> Path:
        return blobs / descriptor["digest"].removeprefix("sha256:")

    layers = json.loads(blob(index["manifests"][0]).read_text())["layers"][base_layers:]
    result = []
    for number, layer in enumerate(layers):
        root = place / str(number)
        with tarfile.open(blob(layer)) as tar:
            tar.extractall(root, filter="fully_trusted")
        found = [path for path in sorted(root.rglob("*")) if path.is_file() or path.is_symlink()]
        entries = [
            Entry(str(path.relative_to(root)), link=os.readlink(path))  # noqa: PTH115
            if path.is_symlink()
            else Entry(str(path.relative_to(root)), path)
            for path in found
        ]
        result.append((layer["digest"], layer["size"], entries))
    return result


def floor(ours: Ours, locks: dict[str, Path], work: Path, rounds: int) -> dict[str, Any]:
    """Measure hashing and compressing alone, and which layers a changed dependency changes."""
    base_layers = ours.daemon.layers(ours.base)
    made = {}
    for case, lock_file in locks.items():  # makes uv's cache warm, too
        made[case] = unpack(ours.environment(lock_file), base_layers, work / f"layers {case}")
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        for _, _, entries in made[COLD]:
            with tempfile.TemporaryFile(dir=work) as file:
                write_layer(entries, file, own="opt/prefect")
        seconds.append(time.perf_counter() - started)
    known = {digest for digest, _, _ in made[COLD]}
    changed = {case: [s for d, s, _ in made[case] if d not in known] for case in (SMALL, LARGE)}
    return {"seconds": statistics.median(seconds[1:]), "changed layers": changed}


def targets(results: dict[str, dict[str, Any]], alone: dict[str, Any]) -> list[dict[str, Any]]:
    """Put what was asked for beside what was measured."""

    def best(case: str, figure: str) -> float:
        others = (r[case][figure] for n, r in results.items() if n[:4] != OURS and case in r)
        return min(others, default=float("nan"))

    ours = results[OURS]
    rows: list[tuple[str, float, str]] = [
        ("changed flow to runnable, s", ours[FLOW]["runnable"], "<= 0.25"),
        ("changed flow to runnable, times faster than the best other", best(FLOW, "runnable") / ours[FLOW]["runnable"], ">= 8"),
        ("... by the command", best(FLOW, "runnable") / results[COMMAND][FLOW]["runnable"], ""),
        ("changed flow to pushed, times faster than the best other", best(FLOW, "pushed") / ours[FLOW]["pushed"], ""),
        ("nothing changed to runnable, s", ours[NOTHING]["runnable"], "<= 0.1"),
        ("... by the command", results[COMMAND][NOTHING]["runnable"], ""),
        ("cold to runnable, times faster than the best other", best(COLD, "runnable") / ours[COLD]["runnable"], ">= 1"),
        ("... with downloads warm", best(WARM, "runnable") / ours[WARM]["runnable"], ">= 1"),
        ("cold to runnable, of hashing and compressing the same", ours[COLD]["runnable"] / alone["seconds"], "<= 2"),
        ("cold to pushed, of hashing and compressing the same", ours[COLD]["pushed"] / alone["seconds"], ""),
        ("push of a changed flow, bytes sent", ours[FLOW]["sent"], "< 100000 and the flow"),
    ]  # fmt: skip
    for case in (SMALL, LARGE):
        sizes = alone["changed layers"][case]
        text = f"only its layer; the layers that change have {' + '.join(map(str, sizes))}"
        rows.append((f"push of {case}, bytes sent", ours[case]["sent"], text))
    return [{"what": what, "measured": value, "target": text} for what, value, text in rows]


def show(results: dict[str, dict[str, Any]], failed: dict[str, str], alone: dict[str, Any],
         rows: list[dict[str, Any]]) -> None:  # fmt: skip
    """Print tables."""
    for case in (COLD, WARM, SMALL, LARGE, FLOW, NOTHING):
        print(f"\n{case:34} {'runnable s':>10} {'pushed s':>9} {'kept MB':>9} {'sent MB':>9}")
        for name, cases in results.items():
            if one := cases.get(case):
                print(
                    f"  {name:32} {one['runnable']:10.3f} {one['pushed']:9.3f} "
                    f"{one['kept'] / 1e6:9.3f} {one['sent'] / 1e6:9.3f}"
                )
    print(f"\nhashing and compressing the same bytes as cold: {alone['seconds']:.3f} s")
    for name, reason in failed.items():
        print(f"{name} cannot run here: {reason}")
    print(f"\n{'target':58} {'measured':>10}  wanted")
    for row in rows:
        print(f"{row['what']:58} {row['measured']:10,.3f}  {row['target']}")


def summary(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return medians by case."""
    return {
        case: {figure: statistics.median(one[figure] for one in many) for figure in many[0]}
        for case, many in found.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of everything [%(default)s]")
    parser.add_argument("--quick", type=int, default=3, help="of quick cases in a round")
    parser.add_argument("--only", default="", help="of the others, those with this in their name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    base, registry = (os.environ.get(f"PREFECT_TEST_{n}", "") for n in ("IMAGE", "REGISTRY"))
    if not (base and registry):
        print("PREFECT_TEST_IMAGE is not set: nothing was measured (see `make services`)")
        return
    work = Path(tempfile.mkdtemp(prefix="prefect-bench-"))
    os.environ |= {"XDG_CACHE_HOME": str(work / "cache"), "UV_CACHE_DIR": str(work / "uv")}
    with Relay(registry) as relay, Daemon() as daemon:
        try:
            # By the relay's name, so that everybody's push can take the base's blobs from there.
            base = base.replace(registry, relay.address, 1)
            daemon.pull(base)
            daemon.push(
                base
            )  # sends nothing; but a container engine learns from it where the base is
            report = run(options, base, work, daemon, relay)
        finally:
            daemon.clean()
            with suppress(subprocess.CalledProcessError):
                daemon.remove(base)
            subprocess.run(["rm", "-rf", work], check=True)  # buildah leaves odd modes
    load = " ".join(f"{one:.2f}" for one in os.getloadavg())
    if options.json:
        print(json.dumps(report | {"load": load}, indent=2))
    else:
        print(f"medians; the load is {load} after it")
        show(**report)


def run(options: argparse.Namespace, base: str, work: Path, daemon: Daemon,
        relay: Relay) -> dict[str, Any]:  # fmt: skip
    """Measure everything."""
    locks = {}
    for case, change in LOCKS.items():
        pins = [f"{name}=={version}" for name, version in (START | change).items()]
        locks[case] = work / f"{case}.lock"
        # The platform that `prefect build` finds in the base, with cloudpickle for its worker.
        locks[case].write_text(lock([*pins, "cloudpickle"], **daemon.platform(base)))
    builders: list[Ours | Rival] = [make(base, work, daemon) for make in (Ours, OurCommand)]
    builders += [rival(base, work, daemon) for rival in RIVALS if options.only in rival.name]
    alone = floor(Ours(base, work, daemon), locks, work, options.rounds)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    failed: dict[str, str] = {}
    for number in range(options.rounds):
        for builder in builders:
            if builder.name in failed:
                continue
            target = f"{relay.address}/bench/{number}-{uuid.uuid4().hex[:8]}:1"
            _tell(f"round {number + 1}: {builder.name}")
            try:
                for case, one in measure_all(builder, locks, options.quick, target, relay):
                    found.setdefault(builder.name, {}).setdefault(case, []).append(one)
            except (subprocess.CalledProcessError, FileNotFoundError, RuntimeError) as error:
                if isinstance(builder, Ours):
                    raise
                failed[builder.name] = reason_of(error)
                with suppress(subprocess.CalledProcessError, FileNotFoundError):
                    builder.forget()
    results = {name: summary(cases) for name, cases in found.items()}
    rows = targets(results, alone)
    return {"results": results, "failed": failed, "alone": alone, "rows": rows}


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

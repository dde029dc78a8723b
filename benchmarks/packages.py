"""A project into one file: what it costs, what is missing afterwards, and what anybody can read.

    python benchmarks/packages.py [--runs 3] [--only WORD] [--json]

A flow's file with ten helper modules, 20 MB of CSV (seeded) and pandas is packaged for linux/amd64
and linux/arm64. The wheel of this checkout, and each rival, is installed from the index into an
environment of its own. What cannot be had or does not work is printed as such, with its reason.

In each round every program runs once, in turn, after one round that does not count: caches are warm,
and the others' locks are removed. Ours remembers what it has resolved for a day, as it does for its users. Seconds are medians of whole commands. A ratio is to the first
of a group: what locks packages is compared with what locks, what brings them with what brings them.

What is missing is found by looking. Ours is run in an empty directory, and its manifest is read with
the key. A rival's artifact is unpacked as far as that needs no key (zip, tar, gzip, base64 in JSON),
and searched: for strings that stand in the helpers and in the data, for the SHA-256 that the index
has of pandas's wheels, and for pandas itself. So is ours, for what is readable in clear.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import gzip
import io
import json
import os
import random
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
HELPERS, FILES, FILE_BYTES = 10, 4, 5_000_000
CODE_MARKER = "marker-in-a-global"
HELPER = """import pandas

NAME = "marker-of-helper-{number}"

def total(directory):
    return NAME, float(pandas.read_csv(directory / "{file}.csv").sum().sum())
"""
MODULE = f"""from pathlib import Path
{{imports}}

MARKER = {CODE_MARKER!r}
DATA = Path(__file__).parent / "data"

{{decorator}}
def work():
    print(MARKER, [h.total(DATA) for h in ({", ".join(f"h{n}" for n in range(HELPERS))})])
"""
OURS = 'with Flow("measured") as flow:\n    work()\n'
# `include_files` is an attribute of the flows that a decorator of an infrastructure makes; these
# are in packages of their own, and nothing else of them is used to make a bundle.
BUNDLE = """import json, shutil, sys, uuid
from prefect.bundles import create_bundle_for_flow_run
from prefect.client.schemas.objects import FlowRun
import main

main.work.include_files = ["data"]
made = create_bundle_for_flow_run(main.work, FlowRun(flow_id=uuid.uuid4()))
json.dump(made["bundle"], open("out.json", "w"))
if made["zip_path"]:
    shutil.move(made["zip_path"], "out.zip")
"""
METAFLOW = """from metaflow import FlowSpec, step
import main

class Measured(FlowSpec):
    @step
    def start(self):
        main.work()
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Measured()
"""
PYPROJECT = """[project]
name = "measured"
version = "1"
requires-python = "=={python}.*"
dependencies = ["pandas=={pandas}"]
"""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
TAGS = f"cp-{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}-cp{PYTHON.replace('.', '')}"
PEX = "pex pandas=={pandas} -D . -m main -o out.pex"
FOR_PEX = [f" --platform manylinux_2_28_{machine}-{TAGS}" for machine in ("x86_64", "aarch64")]
LOCKED, CARRIED = "packages locked", "packages in it"


@dataclass
class Program:
    """One way to package the project."""

    group: str
    name: str
    package: str  # what is installed to have it; "" is what is there already
    lines: list[str]
    outputs: list[str]
    files: dict[str, str] = field(default_factory=dict)
    decorator: str = ""
    seconds: list[float] = field(default_factory=list)
    failed: str = ""


def programs() -> list[Program]:
    """Return everybody: the first of each group is what the others are compared with."""
    build = "prefect build main.py -o out.flow --key-file ../flow.key --include data"
    ours = {"files": {"main.py": OURS}, "decorator": "from prefect import Flow, task\n@task"}
    both = f"{build} --for linux/amd64,linux/arm64"
    lock, out = "uv lock -q", ["out.flow"]
    sources = " ".join(f"h{number}.py" for number in range(HELPERS))
    tar = f"tar -czf out.tar.gz requirements.txt main.py {sources} data"
    uv_files = {"pyproject.toml": PYPROJECT}
    metaflow = "--environment uv --package-suffixes .py,.csv package save out.tgz"
    return [
        Program(LOCKED, "prefect build --for", "OURS", [both], out, **ours),
        Program(LOCKED, "Prefect 3, bundle", "prefect>=3,<4", ["python bundle.py"],
                ["out.json", "out.zip"], {"bundle.py": BUNDLE}, "from prefect import flow\n@flow"),
        Program(LOCKED, "Metaflow, package save", "metaflow",
                [lock, f"python flow.py {metaflow}"], ["out.tgz"],
                {"flow.py": METAFLOW} | uv_files),
        Program(LOCKED, "uv export, tar -z", "",
                [lock, "uv export -q --no-emit-project -o requirements.txt", tar],
                ["out.tar.gz"], uv_files),
        Program(CARRIED, "prefect build --vendor", "OURS", [f"{build} --vendor"], out, **ours),
        Program(CARRIED, "pex, this platform", "pex", [PEX], ["out.pex"]),
        Program(CARRIED, "prefect build --for --vendor", "OURS", [f"{both} --vendor"], out, **ours),
        Program(CARRIED, "pex, both platforms", "pex", [PEX + "".join(FOR_PEX)], ["out.pex"]),
    ]  # fmt: skip


def unpacked(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a file, and what is in it for anybody who has no key."""
    yield name, data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.namelist():
                yield from unpacked(f"{name}/{entry}", archive.read(entry))
    elif data[:2] == b"\x1f\x8b":
        plain = gzip.decompress(data)
        yield f"{name}/gz", plain
        try:
            with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
                for member in filter(tarfile.TarInfo.isfile, tar):
                    yield from unpacked(f"{name}/{member.name}", tar.extractfile(member).read())  # type: ignore[union-attr]
        except tarfile.ReadError:
            pass
    elif data[:1] == b"{" and name.endswith(".json"):
        for key, value in json.loads(data).items():
            if isinstance(value, str):
                yield from unpacked(f"{name}/{key}", value.encode())
                with suppress(binascii.Error):
                    yield from unpacked(f"{name}/{key}", base64.b64decode(value, validate=True))


class Bench:
    """A directory with environments, projects and what is made of them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.uv = Path(sys.executable).with_name("uv")
        self.pandas = ""
        self.hashes: dict[str, str] = {}

    def call(self, line: str, environment: str = "", cwd: str = ".") -> str:
        """Run a program and return what it prints; it fails if that does."""
        venv = self.place / "venvs" / (environment or "none")
        # Neither what is set for this checkout nor for another Prefect is meant for them.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PREFECT"))}
        variables = kept | {
            "PATH": f"{venv / 'bin'}:{self.uv.parent}:{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(self.place / "cache"), "UV_CACHE_DIR": str(self.place / "uv"),
            "PEX_ROOT": str(self.place / "pex"), "USERNAME": "bench", "COLUMNS": "80",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.place / "metaflow"),
        }  # fmt: skip
        if environment:
            variables["VIRTUAL_ENV"] = str(venv)
        if environment.startswith("prefect"):
            variables["PREFECT_HOME"] = str(self.place / "prefect-home")
        done = subprocess.run(
            shlex.split(line), cwd=self.place / cwd, env=variables, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise RuntimeError(f"`{line.split(' -', maxsplit=1)[0]}` failed: {''.join(last)}")
        return done.stdout

    def install(self, package: str) -> str:
        """Have an environment with a package and pandas; return its name."""
        name = re.split(r"[<>=]", package)[0]
        if name and not (self.place / "venvs" / name).exists():
            pins = f"-c {ROOT / 'requirements' / 'dev.txt'} " if name == "OURS" else ""
            wanted = package
            if name == "OURS":
                self.call(
                    f"{self.uv} build -q --wheel --no-build-isolation --python {sys.executable} "
                    f"--out-dir dist {ROOT}"
                )
                wanted = str(next((self.place / "dist").glob("*.whl")))
            self.call(f"{self.uv} venv -q --python {sys.executable} venvs/{name}")
            pandas = f"pandas=={self.pandas}" if self.pandas else "pandas"
            self.call(
                f"{self.uv} pip install -q --compile-bytecode --python venvs/{name} {pins}"
                f"{shlex.quote(wanted)} {pandas}"
            )
        return name

    def start(self) -> None:
        """Make the data and the key, and learn which pandas everybody shall package."""
        self.install("OURS")
        self.call("prefect keygen flow.key", "OURS")
        self.pandas = self.call(
            "python -c 'import pandas; print(pandas.__version__)'", "OURS"
        ).strip()
        rng = random.Random(1)
        (self.place / "data").mkdir()
        for number in range(FILES):
            lines, size = [f"marker_of_data_{number},other\n"], 0
            while size < FILE_BYTES:
                lines.append(f"{rng.random()},{rng.randrange(10**6)}\n")
                size += len(lines[-1])
            (self.place / "data" / f"{number}.csv").write_text("".join(lines))
        (self.place / "asked").mkdir()
        self.write("asked", {"pyproject.toml": PYPROJECT})
        self.call("uv lock -q", cwd="asked")
        wheel = rf"pandas-[^\"]*-cp{PYTHON.replace('.', '')}-[^\"]*manylinux[^\"]*"
        lock = (self.place / "asked" / "uv.lock").read_text()
        for machine in ("x86_64", "aarch64"):
            found = re.search(rf'{wheel}{machine}\.whl", hash = "sha256:(\w+)"', lock)
            self.hashes[machine] = found[1] if found else "unknown"

    def write(self, project: str, files: dict[str, str]) -> None:
        """Write files with the versions that are asked for."""
        for name, text in files.items():
            if name == "pyproject.toml":
                text = text.format(python=PYTHON, pandas=self.pandas)  # noqa: PLW2901
            with (self.place / project / name).open("a") as file:
                file.write(text)

    def prepare(self, number: int, program: Program) -> None:
        """Give a program its environment and its project."""
        self.install(program.package)
        project = f"project{number}"
        shutil.copytree(self.place / "data", self.place / project / "data")
        for helper in range(HELPERS):
            text = HELPER.format(number=helper, file=helper % FILES)
            (self.place / project / f"h{helper}.py").write_text(text)
        imports = "\n".join(f"import h{helper}" for helper in range(HELPERS))
        text = MODULE.format(imports=imports, decorator=program.decorator)
        (self.place / project / "main.py").write_text(text)
        self.write(project, program.files)

    def run(self, number: int, program: Program) -> None:
        """Package once, with nothing left of the last time."""
        project = self.place / f"project{number}"
        for name in [*program.outputs, "uv.lock", "requirements.txt"]:
            (project / name).unlink(missing_ok=True)
        environment = re.split(r"[<>=]", program.package)[0]
        begin = time.perf_counter()
        for line in program.lines:
            self.call(line.format(pandas=self.pandas), environment, project.name)
        program.seconds.append(time.perf_counter() - begin)

    def report(self, number: int, program: Program) -> dict[str, object]:
        """Return what was made, what is not in it, and what is readable."""
        made = [self.place / f"project{number}" / name for name in program.outputs]
        made = [path for path in made if path.exists()]
        found = [one for path in made for one in unpacked(path.name, path.read_bytes())]

        def has(text: str) -> bool:
            return any(text.encode() in data for _, data in found)

        data = [f"marker_of_data_{n}" for n in range(FILES)]
        clear = {"code": has(CODE_MARKER), "data": any(map(has, data))}
        if program.package == "OURS":
            missing = self.missing_of_ours(made[0])
        else:
            names = [name for name, _ in found]
            packages = any(name.endswith("pandas/__init__.py") for name in names)
            arm = any("pandas" in name and "aarch64" in name for name in names)
            helpers = sum(not has(f"marker-of-helper-{n}") for n in range(HELPERS))
            missing = {
                "data files": sum(not has(one) for one in data),
                "helper modules": helpers,
                "lock with hashes": not any(map(has, self.hashes.values())),
                "packages": not packages,
                "other platform": not (has(self.hashes["aarch64"]) or arm),
            }
        return {
            "MB": sum(path.stat().st_size for path in made) / 1e6,
            "missing": [
                f"{count} {name}" if type(count) is int else name
                for name, count in missing.items() if count
            ],
            "in clear": [name for name, readable in clear.items() if readable],
        }  # fmt: skip

    def missing_of_ours(self, file: Path) -> dict[str, int | bool]:
        """Run a sealed flow where nothing of the project is, and read its manifest."""
        empty = Path(tempfile.mkdtemp(dir=self.place))
        key = f"--key-file {self.place / 'flow.key'}"
        printed = self.call(f"prefect run {file} {key}", "OURS", empty.name)
        if CODE_MARKER not in printed:
            raise RuntimeError(f"The sealed flow did not work where it was run: {printed}")
        manifest = json.loads(self.call(f"prefect info {file} {key} --json", "OURS"))
        lock = manifest["lock"]
        return {
            "data files": FILES - len(manifest["files"]),
            "helper modules": sum(f"marker-of-helper-{n}" not in printed for n in range(HELPERS)),
            "lock with hashes": not any(one in lock for one in self.hashes.values()),
            "packages": not manifest["wheels"],
            "other platform": self.hashes["aarch64"] not in lock,
        }


def measure(bench: Bench, contestants: list[Program], runs: int) -> list[dict[str, object]]:
    """Return a row for each program."""
    bench.start()
    for turn in range(-2, runs):  # -2 prepares, -1 makes caches warm
        for number, program in enumerate(contestants):
            if program.failed:
                continue
            print(f"round {turn + 1}: {program.name}", file=sys.stderr, flush=True)
            try:
                bench.prepare(number, program) if turn == -2 else bench.run(number, program)
            except RuntimeError as error:
                if program.package == "OURS":
                    raise
                program.failed = str(error)
            if program.seconds:
                print(f"  {program.seconds[-1]:.2f} s", file=sys.stderr, flush=True)
            if turn == -1:
                program.seconds.clear()
    rows, first = [], dict[str, float]()
    for number, program in enumerate(contestants):
        row: dict[str, object] = {"group": program.group, "program": program.name}
        if program.failed:
            rows.append(row | {"failed": program.failed})
            continue
        median = statistics.median(program.seconds)
        ratio = median / first.setdefault(program.group, median)
        spread = [min(program.seconds), max(program.seconds)]
        row |= {"seconds": median, "from to": spread, "ratio": ratio}
        rows.append(row | bench.report(number, program))
    return rows


def show(rows: list[dict[str, object]]) -> None:
    """Print a Markdown table."""
    print("| group | program | seconds | from-to | ratio | MB | missing | readable in clear |")
    print("|---|---|--:|--:|--:|--:|---|---|")
    for row in rows:
        start = f"| {row['group']} | {row['program']} |"
        if "failed" in row:
            print(f"{start} | | | | does not work: {row['failed']} | |")
            continue
        low, high = row["from to"]  # type: ignore[misc]
        missing, clear = (", ".join(row[k]) or "nothing" for k in ("missing", "in clear"))  # type: ignore[call-overload]
        print(
            f"{start} {row['seconds']:.1f} | {low:.1f}-{high:.1f} | {row['ratio']:.2f} | "
            f"{row['MB']:.1f} | {missing} | {clear} |"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="that count [%(default)s]")
    parser.add_argument("--only", default="", help="programs with this in their name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    contestants = [program for program in programs() if options.only in program.name]
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="prefect-bench-") as place:
        rows = measure(Bench(Path(place)), contestants, options.runs)
    load = f"{before:.1f} before, {os.getloadavg()[0]:.1f} after"
    if options.json:
        print(json.dumps({"runs": options.runs, "load": load, "rows": rows}, indent=2))
        return
    print(f"medians of {options.runs}; {os.cpu_count()} cores, load {load}\n")
    show(rows)


if __name__ == "__main__":
    main()

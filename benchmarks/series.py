"""Loading a flow on the series of Python that packaged it, and on the others, which compile it.

    python benchmarks/series.py [--functions 300] [--rounds 5]

A flow with that many functions and half as many classes, beside one with a single function, is packaged
by each Python from 3.11 on that is at hand, and loaded by each: in processes of their own, by processor
time, the least of the rounds. What counts is the ratio to the series that packaged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import newest  # noqa: E402 - beside this directory

FUNCTION = """
def f{n}(x, y=3):
    total = 0
    for i in range(x):
        total += i * y if i % 2 else [m * i for m in range(3)][0]
    try:
        return total / x
    except ZeroDivisionError:
        return None
"""
CLASS = """
class C{n}:
    def __init__(self, a):
        self.a = a
    def add(self, b):
        return self.a + b
"""
PACKAGE = """
import sys
from pathlib import Path
from prefect import Flow, task
from prefect.payload.packing import pickle_flow
import many
@task
def go():
    return many.f0(2)
with Flow("many") as flow:
    go()
pickled = pickle_flow(flow)
Path("m").write_bytes(pickled.manifest.to_json())
Path("p").write_bytes(pickled.payload)
"""
LOAD = """
import time
from pathlib import Path
from prefect.payload.loading import load_flow
from prefect.payload.manifest import Manifest
manifest, payload = Manifest.from_json(Path("m").read_bytes()), Path("p").read_bytes()
start = time.process_time()
load_flow(manifest, payload)
print(time.process_time() - start)
"""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--functions", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = {s: each[1] for s, each in newest.pythons().items() if int(s[2:]) >= 11}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        packages = place / "site-packages"
        packages.mkdir()
        distribution = metadata.distribution("cloudpickle")
        for top in {file.parts[0] for file in distribution.files or () if ".." not in file.parts}:
            (packages / top).symlink_to(str(distribution.locate_file(top)))
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{packages}"}

        def run(series: str, *arguments: str) -> str:
            command = [str(found[series]), *arguments]
            return subprocess.run(
                command, cwd=place, env=environment, check=True, capture_output=True, text=True
            ).stdout

        for count in (1, options.functions):
            text = "".join(FUNCTION.format(n=n) for n in range(count))
            text += "".join(CLASS.format(n=n) for n in range(count // 2))
            (place / "many.py").write_text(text)
            print(f"{count} functions, {count // 2} classes")
            for builder in found:
                (place / "job.py").write_text(PACKAGE)
                run(builder, "job.py")
                times = {
                    series: min(float(run(series, "-c", LOAD)) for _ in range(options.rounds))
                    for series in found
                }
                own = times[builder]
                told = ", ".join(
                    f"{s}: {t * 1e3:.1f} ms ({t / own:.1f} x)" for s, t in times.items()
                )
                print(f"  packaged by {builder}, loaded by {told}")


if __name__ == "__main__":
    main()

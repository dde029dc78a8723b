"""Run tests with the newest dependencies that pyproject.toml allows, on each Python at hand.

    python scripts/newest.py [arguments of pytest]

Each Python has an environment of its own in .venv-newest, made anew when the day or what it is made
of is another one; as many as there are processors work at a time. Pins hold for the tests' own tools
alone: what breaks here breaks for somebody who installs the package today. A Python that is not at
hand is said, and proves nothing. The exit status is 1 if a test fails or an environment cannot be
made.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".venv-newest"
UV = Path(sys.executable).with_name("uv")
TOOLS = (
    "bcrypt",
    "flask",
    "flask-cors",
    "hypothesis",
    "ipykernel",
    "moto",
    "nbclient",
    "pytest",
    "pytest-timeout",
    "sqlalchemy",
)  # in the versions that are here
PICKLER = "tests/payload/test_pickler.py"
# The newest Python runs what may depend on a version, and not what takes long for other reasons:
# commands in subprocesses, the examples, dependencies that are really installed. Those run once,
# with the pins; so does what runs on every Python by itself.
TESTS = (
    "tests/core", "tests/engine", "tests/payload", "tests/sealed", "tests/secrets", "tests/oci",
    "tests/worker", "tests/environments", "tests/progress", "tests/images/test_assembly.py",
    "tests/images/test_inspection.py", "tests/images/test_plan.py", "tests/store", "tests/cli/test_main.py",
    "tests/cli/test_graph.py", "tests/test_import.py", "tests/test_files.py",
    "tests/test_streams.py", "tests/telemetry", "--ignore=tests/payload/test_series.py",
    "--deselect=tests/progress/test_notebook.py::test_the_example_shows_flow_progress_and_state",
    f"--deselect={PICKLER}::test_another_source_gives_other_bytes",
    f"--deselect={PICKLER}::test_the_same_sources_give_the_same_bytes[etl.py]",
)  # fmt: skip
# The others run where a Python itself shows: what flows are, how they travel, how they run.
FEW = (
    "tests/core", "tests/engine", "tests/secrets", "tests/worker", "tests/payload/test_packing.py",
    "tests/payload/test_manifest.py", "tests/payload/test_source_lines.py",
    f"{PICKLER}::test_a_traceback_elsewhere_is_readable",
    f"{PICKLER}::test_the_rich_flow_runs_elsewhere",
)  # fmt: skip
ASK = (
    "import sys, sysconfig; v = sys.version_info;"
    "usable = sys.implementation.name == 'cpython' and v.releaselevel == 'final'"
    " and not sysconfig.get_config_var('Py_GIL_DISABLED');"
    "print(*v[:3], sys.base_prefix) if usable else sys.exit(1)"
)

Version = tuple[int, ...]
Command = list[str | Path]


def pythons() -> dict[str, tuple[Version, Path]]:
    """Return the newest CPython of each series on PATH and in pyenv, of those that start."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    directories = [*map(Path, os.get_exec_path()), *pyenv.glob("versions/*/bin")]
    named = {path for each in directories for path in each.glob("python3.*")}
    found: dict[str, tuple[Version, Path]] = {}
    for path in (Path(sys.executable), *sorted(named)):
        if path.suffix and not path.suffix[1:].isdigit():  # python3.13-config, python3.13t
            continue
        ask: Command = [path, "-I", "-c", ASK]
        try:
            done = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode:  # a shim of pyenv for a version that is not chosen, for example
            continue
        *version, prefix = done.stdout.split(maxsplit=3)
        number = tuple(map(int, version))
        series = f"{number[0]}.{number[1]}"
        program = Path(prefix.strip(), "bin", f"python{series}")
        if series not in found or found[series][0] < number:
            found[series] = (number, program if program.exists() else path)
    return found


def environment(series: str, python: Path) -> Path:
    """Make the environment of a Python, unless it is there; return its interpreter."""
    place = PLACE / series
    within = place / "bin" / "python"
    asked = ["-e", f"{ROOT}[dask,otel,s3]", "pandas", "polars", "pyarrow"]
    asked += [f"{tool}=={metadata.version(tool)}" for tool in TOOLS]
    made_of = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = f"{dt.datetime.now().astimezone().date()} {python} {asked} {made_of}"
    if not (place / "stamp").is_file() or (place / "stamp").read_text() != stamp:
        subprocess.run([UV, "venv", "-q", "--clear", "--python", python, place], check=True)
        install: Command = [UV, "pip", "install", "-q", "--upgrade", "--python", within, *asked]
        subprocess.run(install, check=True)
        (place / "stamp").write_text(stamp)
    return within


def newer_than_pins(place: Path) -> str:
    """Return the distributions of an environment that are others than those here."""
    sites = [str(path) for path in place.glob("lib/*/site-packages")]
    here = {each.name.lower(): each.version for each in metadata.distributions()}
    others = {each.name.lower(): each.version for each in metadata.distributions(path=sites)}
    changed = sorted(name for name, version in others.items() if here.get(name) != version)
    return ", ".join(f"{name} {others[name]}" for name in changed) or "nothing"


def tested(series: str, version: Version, python: Path, tests: Sequence[str]) -> bool:
    """Run tests on one Python; return whether all of them passed."""
    name = f"Python {'.'.join(map(str, version))}"
    try:
        within = environment(series, python)
    except subprocess.CalledProcessError as error:
        print(f"{name}: its environment cannot be made: {error}", flush=True)
        return False
    done = subprocess.run(
        [within, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not services", *tests],
        cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = done.stdout if done.returncode else done.stdout.splitlines()[-1]
    print(f"{name}; not as pinned: {newer_than_pins(PLACE / series)}\n{said}", flush=True)
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """Test each Python; return the exit status."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = int(project["requires-python"].removeprefix(">=3."))
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    found = {series: each for series, each in pythons().items() if int(series[2:]) >= lowest}
    for series in promised:
        if series not in found:
            print(f"Python {series}: not at hand, so not tested", flush=True)
    order = sorted(found, key=lambda series: int(series[2:]), reverse=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [
            pool.submit(tested, series, *found[series], arguments or (FEW if number else TESTS))
            for number, series in enumerate(order)
        ]
    return 0 if all(run.result() for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

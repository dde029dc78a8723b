"""Ask classic Prefect, in an environment of its own, what the small flows of tests/classic come to.

    python scripts/classic_oracle.py [names of files in tests/classic/flows]

What it answers is kept in tests/classic/answers, so that the tests do not need it; likewise what the files of
examples/classic print, by the name "tutorials". Without names, what its
public modules offer is written to tests/classic/offered.json. The environment is made once, in .venv-classic, of a
Python 3.9 on PATH or in pyenv.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".venv-classic"
PYTHON = PLACE / "bin" / "python"
TESTS = ROOT / "tests" / "classic"
UV = Path(sys.executable).with_name("uv")
REQUIRED = (
    "prefect==1.4.1",
    "marshmallow<3.13",
    "marshmallow-oneofschema<3.1",
    "pendulum<3",
    "setuptools<81",
)


def main(names: list[str]) -> None:
    """Write the answers."""
    if not PYTHON.exists():
        subprocess.run([UV, "venv", "--quiet", "--python", find_python(), PLACE], check=True)
        subprocess.run([UV, "pip", "install", "--quiet", "--python", PYTHON, *REQUIRED], check=True)
    for flows in sorted((TESTS / "flows").glob("*.py")):
        if not names or flows.stem in names:
            keep(flows.stem, ask(TESTS / "probing.py", flows))
    if not names:
        keep("offered", ask(ROOT / "scripts" / "classic_names.py"))
    if not names or "tutorials" in names:
        keep("tutorials", tutorials())


def find_python() -> str:
    """Return a Python 3.9; what uv itself finds, if there is none at hand."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [*map(str, pyenv.glob("versions/3.9*/bin/python3.9")), shutil.which("python3.9")]
    return next(filter(None, found), "3.9")


def ask(*arguments: Path) -> object:
    """Run a program there, with nobody's settings, and return the JSON that it ends with."""
    with tempfile.TemporaryDirectory(prefix="prefect-classic-") as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "TZ": "UTC"}
        done = subprocess.run(
            [PYTHON, *arguments],
            env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return json.loads(done.stdout.rpartition("\n{\n")[2].join(("{\n", "")))


def tutorials() -> dict[str, list[str]]:
    """Return what the examples print there."""
    sys.path.insert(0, str(TESTS))
    helper: Any = importlib.import_module("tutorials")
    with tempfile.TemporaryDirectory(prefix="prefect-classic-") as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home}
        return {
            name: helper.printed(name, PYTHON, environment, Path(home)) for name in helper.NAMES
        }


def keep(name: str, answers: object) -> None:
    """Write the answers of a file."""
    path = (TESTS if name in {"offered", "tutorials"} else TESTS / "answers") / f"{name}.json"
    path.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])

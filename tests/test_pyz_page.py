"""What docs/pyz.md prints works as printed, on another Python with nothing installed."""

import re
import subprocess
import sys
from pathlib import Path

import other_pythons
from pyz_making import run

ROOT = Path(__file__).parents[1]
ELSEWHERE = "3.13" if other_pythons.HERE != "3.13" else "3.12"
ETL = """
from pathlib import Path

import msgpack
import numpy as np
import parts
from prefect import Flow, Parameter, task

@task
def load(year: int):
    names = (Path(__file__).parent / "names.csv").read_text().split()
    packed = msgpack.packb({"year": year, "sum": int(np.arange(4).sum())})
    print("loaded:", parts.shown(msgpack.unpackb(packed)), names)

with Flow("etl") as flow:
    load(Parameter("year"))
"""


def commands():
    """The page's commands, one a line."""
    text = (ROOT / "docs" / "pyz.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def test_the_page_takes_a_flow_to_a_machine_that_has_nothing(tmp_path):
    """Packages with machine code, a helper module, a file: as another user, without a network."""
    keygen, build, ran, verify = commands()
    (work := tmp_path / "work").mkdir()
    (work / "etl.py").write_text(ETL)
    (work / "parts.py").write_text("def shown(told):\n    return sorted(told.items())\n")
    (work / "names.csv").write_text("ada bob\n")

    def here(line, *more):
        words = line.split()
        assert words[0] == "prefect"
        command = [sys.executable, "-m", *words, *more]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    here(keygen)
    # For two of the page's three: each has its own machine code, and tests have better to do.
    assert "--python 3.11,3.12,3.13 --vendor" in build
    here(
        build.replace("3.11,3.12,3.13", f"{other_pythons.HERE},{ELSEWHERE}"),
        "--include",
        "names.csv",
    )
    assert "as it was built" in here(verify)

    (empty := tmp_path / "empty").mkdir()
    (tmp := tmp_path / "tmp").mkdir()
    for name in ("etl.pyz", "flow.key"):
        (work / name).rename(empty / name)
    words = ran.split()
    assert words[:2] == ["python", "etl.pyz"]
    done = run(
        other_pythons.python(ELSEWHERE), *words[1:], cwd=empty, environment={"TMPDIR": str(tmp)},
        before=("unshare", "--net", "--user", "--map-user=65534", "--map-group=65534"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loaded: [('sum', 6), ('year', 2013)] ['ada', 'bob']" in done.stdout
    assert sorted(path.name for path in empty.iterdir()) == ["etl.pyz", "flow.key"]
    assert list(tmp.iterdir()) == []

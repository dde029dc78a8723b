"""A project that is packaged by one command runs elsewhere: what docs/packaging.md promises."""

import os
import re
import subprocess
from importlib import metadata
from pathlib import Path

import other_pythons
import pytest
from own_venv import Venv
from project_making import project

import prefect as package
from prefect.dependencies.uv import uv_program

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "packaging.md").read_text()
ELSEWHERE = "3.13" if other_pythons.HERE != "3.13" else "3.12"
FLOW = """
from importlib import resources
from pathlib import Path

import rates
import sales
import toolz
from prefect import Flow, Parameter, task

HERE = Path(__file__).parent

@task
def read():
    query = (HERE / "sql" / "report.sql").read_text().strip()
    names = (resources.files("sales") / "names.csv").read_text().split()
    return {"query": query, "names": names}

@task
def report(found, factor):
    total = toolz.pipe(len(found["names"]), lambda n: n * factor, rates.convert, sales.rounded)
    print("report:", found["query"], found["names"], total)

with Flow("sales") as flow:
    report(read(), Parameter("factor", default=2))
"""


@pytest.fixture
def sales(tmp_path):
    """The project of the page, in a directory, and a private wheel."""
    made = project(
        tmp_path / "work",
        name="sales",
        backend="hatchling",
        code="def rounded(x):\n    return round(x, 1)\n",
    )
    (made / "src" / "sales" / "names.csv").write_text("ada bob\n")
    (made / "flow.py").write_text(FLOW)
    (made / "sql").mkdir()
    (made / "sql" / "report.sql").write_text("select 1\n")
    colleague = project(
        tmp_path / "rates",
        name="rates",
        backend="hatchling",
        code="def convert(x):\n    return x * 1.5\n",
    )
    subprocess.run(
        [uv_program(), "build", "-q", "--wheel", "--out-dir", made / "private", colleague], check=True
    )  # fmt: skip
    return made


def bare(directory, series):
    """Make an environment of another Python, with this package and what it needs alone."""
    command = [uv_program(), "venv", "-q", "--python", other_pythons.python(series), str(directory)]
    subprocess.run(command, check=True)
    python = directory / "bin" / "python"
    names = [
        re.split(r"[^\w-]", line)[0]
        for line in metadata.requires("prefect")
        if "extra ==" not in line
    ]
    needs = [f"{name}=={metadata.version(name)}" for name in names]
    subprocess.run([uv_program(), "pip", "install", "-q", "--python", python, *needs], check=True)
    (site,) = (directory / "lib").glob("python*/site-packages")
    (site / "own.pth").write_text(f"{Path(package.__file__).parents[1]}\n")
    return python


def commands():
    """The page's commands, block by block, one a line."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in blocks]


def test_a_project_runs_in_an_empty_directory_elsewhere(sales, tmp_path):
    """On another series of Python, as another user, without a network or any package: equal results."""
    (install, keygen, build), looks, (run,) = commands()
    venv = Venv(tmp_path / "venv")
    assert install == "pip install -e . private/*.whl"
    venv.install("-e", sales, *(sales / "private").glob("*.whl"))

    def here(line):
        words = [word.strip("'") for word in line.split()[1:]]
        return venv("-P", "-m", "prefect", *words, cwd=sales)

    here(keygen)
    _, err = here(build)
    assert "Warning" not in err
    expected, _ = here(run)
    told, checked = (here(line)[0] for line in looks)
    for name in ("sales-", "rates-1.0", "toolz-", "sql/report.sql"):
        assert name in told
    assert "sales.flow can run here" in checked

    python = bare(tmp_path / "bare", ELSEWHERE)
    (empty := tmp_path / "empty").mkdir()
    for name in ("sales.flow", "flow.key"):
        (sales / name).rename(empty / name)
    sales.rename(tmp_path / "gone")
    before = {path.name for path in empty.iterdir()}
    done = subprocess.run(
        ["unshare", "--net", "--user", "--map-user=65534", "--map-group=65534",
         python, "-P", "-m", "prefect", *run.split()[1:]],
        cwd=empty, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("report:")]
    assert line == "report: select 1 ['ada', 'bob'] 6.0"
    assert line in expected.splitlines()
    assert {path.name for path in empty.iterdir()} == before

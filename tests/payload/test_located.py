"""`prefect.payload.located`, by what a flow finds that was built here and runs there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "etl.py": """
import os
from importlib import resources
from pathlib import Path
import mypackage
import mypackage.inner.reading
import beside
from prefect import Flow, task

HERE = Path(__file__).parent
SQL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sql")
KEPT = {"of": [HERE / "sql" / "a.sql"]}

@task
def read():
    return {
        "file": (Path(__file__).parent / "sql/a.sql").read_text(),
        "path": (HERE / "sql/a.sql").read_text(),
        "str": open(os.path.join(SQL, "a.sql")).read(),
        "value": KEPT["of"][0].read_text(),
        "default": default(),
        "beside": beside.text(),
        "package": resources.files("mypackage").joinpath("table.csv").read_text(),
        "module": resources.files(mypackage).joinpath("table.csv").read_text(),
        "own": mypackage.inner.reading.own(),
        "above": mypackage.inner.reading.above(),
        "old": resources.read_text("mypackage", "table.csv") if hasattr(resources, "read_text") else "table",
        "named": resources.files("onlydata").joinpath("x.txt").read_text(),
        "program": os.access(HERE / "run.sh", os.X_OK),
    }

def default(path=HERE / "sql" / "a.sql"):
    return path.read_text()

@task
def report(found):
    import json
    Path(os.environ["REPORT"]).write_text(json.dumps(found | {"at": __file__}))

with Flow("f") as flow:
    report(read())
""",
    "beside.py": "from pathlib import Path\ndef text():\n    return Path(__file__).with_name('sql').joinpath('a.sql').read_text()\n",
    "mypackage/__init__.py": "",
    "mypackage/inner/__init__.py": "",
    "mypackage/inner/reading.py": (
        "import pkgutil\nfrom importlib import resources\nfrom pathlib import Path\n"
        "def own():\n    return resources.files(__package__).joinpath('own.txt').read_text()\n"
        "def above():\n    return pkgutil.get_data('mypackage', 'table.csv').decode() + "
        "(Path(__file__).parents[1] / 'table.csv').read_text()\n"
    ),
    "mypackage/inner/own.txt": "own",
    "onlydata/__init__.py": "",
    "onlydata/x.txt": "only",
    "mypackage/table.csv": "table",
    "sql/a.sql": "select",
    "run.sh": "#!/bin/sh\n",
}  # fmt: skip
INCLUDE = [word for path in ("sql", "mypackage/**/*.csv", "mypackage/inner/own.txt", "run.sh", "onlydata/x.txt")
           for word in ("--include", path)]  # fmt: skip
EXPECTED = {
    "file": "select", "path": "select", "str": "select", "value": "select", "default": "select",
    "beside": "select", "package": "table", "module": "table", "own": "own", "above": "tabletable",
    "old": "table", "named": "only", "program": True,
}  # fmt: skip


@pytest.fixture
def project(tmp_path):
    """The directory of a flow whose files stand beside it and in its package."""
    for path, text in FILES.items():
        (tmp_path / "project" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / path).write_text(text)
    (tmp_path / "project" / "run.sh").chmod(0o755)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "project"


def prefect(*arguments, cwd, out=False, **environment):
    environment = os.environ | {"PREFECT_ENCRYPTION_KEY": "A" * 43 + "="} | environment
    done = subprocess.run(
        [sys.executable, "-P", "-m", "prefect", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout if out else done.stderr


def test_files_are_found_where_they_are_here(project, tmp_path):
    """By `__file__`, by paths in globals, defaults and values, and by importlib's resources."""
    err = prefect("build", "etl.py", "-o", "../etl.flow", *INCLUDE, cwd=project)
    assert "Warning" not in err
    project.rename(tmp_path / "moved")
    elsewhere, report = tmp_path / "elsewhere", tmp_path / "report.json"
    prefect("run", "../etl.flow", cwd=elsewhere, REPORT=str(report))
    found = json.loads(report.read_text())
    place = Path(found.pop("at"))
    assert found == EXPECTED
    assert place.name == "etl.py"
    assert not place.parent.exists()  # which is gone with the run
    assert list(elsewhere.iterdir()) == []


def test_a_script_that_builds_and_runs_finds_its_files(project, tmp_path):
    """In the process that has the very modules: what travelled is what is read."""
    (project / "build.py").write_text(
        "from etl import flow\nfrom prefect.environments import PickleEnvironment\n"
        "from pathlib import Path\n"
        "environment = PickleEnvironment(include=['sql', 'mypackage', 'run.sh', 'onlydata'])\n"
        "sealed = environment.build(flow)\nPath('sql/a.sql').write_text('other')\n"
        "assert environment.run(sealed).is_successful()\n"
    )
    report = tmp_path / "report.json"
    subprocess.run(
        [sys.executable, "build.py"], cwd=project, env=os.environ | {"REPORT": str(report)}, check=True
    )  # fmt: skip
    found = json.loads(report.read_text())
    del found["at"]
    assert found == EXPECTED


def test_no_path_of_this_machine_travels(project, tmp_path):
    """Neither in the payload nor in the manifest, where the files do."""
    code = (
        "import etl, sys; from pathlib import Path; from prefect.payload.including import include;"
        "from prefect.payload.packing import pickle_flow;"
        "p = pickle_flow(etl.flow, include(['sql', 'mypackage', 'run.sh'], Path('.')));"
        "sys.stdout.buffer.write(p.payload + p.manifest.to_json())"
    )
    runs = []
    for directory in (project, tmp_path / "moved"):
        if not directory.exists():
            project.rename(directory)
        runs.append(
            subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, check=True).stdout
        )  # fmt: skip
    assert str(tmp_path).encode() not in runs[0]
    assert runs[0] == runs[1]


HELPED = """
from pathlib import Path
import helper
from parts.adding import add
from prefect import Flow, task

@task
def read():
    return (Path(__file__).parent / "t.txt").read_text()

@task
def made(text):
    return [helper.Row(text, add(1)), helper.Row(text, add(2))]

@task
def used(row):
    assert isinstance(row, helper.Row)
    return row.number

@task
def both(first, rest):
    assert type(first) is type(rest[0]) is helper.Row
    return first.number + sum(row.number for row in rest)

@task
def report(numbers, both):
    print("found", numbers, both)

with Flow("helped") as flow:
    rows = made(read())
    report(used.map(rows), both(helper.Row("given", 10), rows))
"""


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:2", "dask"])
def test_modules_of_a_flow_whose_files_travel_reach_the_processes_of_its_tasks(tmp_path, executor):
    """Helpers and own packages, with values of their classes, as where no files travel."""
    files = {
        "flows/b.py": HELPED,
        "flows/helper.py": "import dataclasses\n@dataclasses.dataclass\nclass Row:\n    text: str\n    number: int\n",
        "flows/parts/__init__.py": "",
        "flows/parts/adding.py": "def add(x):\n    return x + 1\n",
        "flows/t.txt": "text",
        "elsewhere/nothing": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    included = ("--include", "flows/t.txt", "--include", "flows/parts")
    prefect("build", "flows/b.py", "-o", "b.flow", *included, cwd=tmp_path)
    (tmp_path / "flows").rename(tmp_path / "gone")
    run = ("run", "../b.flow", "--executor", executor)
    assert "found [2, 3] 15" in prefect(*run, cwd=tmp_path / "elsewhere", out=True)


@pytest.mark.parametrize("asked", ["__package__", "'acme'"])
def test_a_package_of_another_directory_finds_its_files(tmp_path, asked):
    """A layout with src: the script imports from the package and never names it."""
    files = {
        "flows/m.py": "from acme.read import q\nfrom prefect import Flow, task\n"
        "@task\ndef t():\n    print('found', q())\n\nwith Flow('m') as flow:\n    t()\n",
        "src/acme/__init__.py": "",
        "src/acme/q.sql": "select",
        "src/acme/read.py": "from importlib.resources import files\n"
        f"def q():\n    return (files({asked}) / 'q.sql').read_text()\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    prefect(
        "build",
        "flows/m.py",
        "-o",
        "m.flow",
        "--include",
        "src/acme/q.sql",
        cwd=tmp_path,
        PYTHONPATH="src",
    )
    (tmp_path / "src").rename(tmp_path / "gone")
    assert "found select" in prefect("run", "m.flow", cwd=tmp_path, out=True)

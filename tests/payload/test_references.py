"""`prefect.payload.references`."""

import logging
import subprocess
import sys
import textwrap

import pytest

HEAD = """
import pickle
from importlib import resources
from pathlib import Path
import mypackage
from prefect import Flow, task
HERE = Path(__file__).parent
DATA = HERE / "data"
"""
TAIL = """
with Flow("f") as flow:
    t()
"""


def warned(directory, body, *arguments, before=""):
    """Return what a build of a task with this body warns of."""
    files = {"data/x.csv": "", "mypackage/__init__.py": "", "mypackage/table.csv": "", "here.csv": "", "out.csv": "",
             "sql/q.sql": ""}  # fmt: skip
    for path, text in files.items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(text)
    source = f"{HEAD}{before}@task\ndef t():\n{textwrap.indent(body, '    ')}\n{TAIL}"
    (directory / "etl.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "build", "etl.py", "-o", "etl.flow", *arguments],
        cwd=directory, capture_output=True, text=True, check=True,
        env={"PREFECT_ENCRYPTION_KEY": "A" * 43 + "=", "PATH": ""},
    )  # fmt: skip
    return [line for line in done.stderr.splitlines() if line.startswith("Warning")]


@pytest.mark.parametrize(
    ("body", "option"),
    [
        ("return open('here.csv').read()", "here.csv"),
        ("return open('data/x.csv')", "data/x.csv"),
        ("return Path('data/x.csv').read_text()", "data/x.csv"),
        ("import csv\nreturn csv.reader(open('here.csv'))", "here.csv"),
        ("return (lambda: open('here.csv'))()", "here.csv"),
        ("return (Path(__file__).parent / 'sql' / 'q.sql').read_text()", "sql"),
        ("return (HERE / 'sql/q.sql').read_text()", "sql/q.sql"),
        ("return (DATA / 'x.csv').read_text()", "data/x.csv"),
        ("return resources.files('mypackage').joinpath('table.csv')", "mypackage/table.csv"),
        ("return resources.files(mypackage) / 'table.csv'", "mypackage/table.csv"),
    ],
)
def test_what_is_read_and_does_not_travel_is_told(tmp_path, body, option):
    """Once, with where it stands, and with the option that takes it along."""
    (line,) = warned(tmp_path, body)
    assert f"To take them along: --include {option}, or include=" in line
    assert "t in etl.py" in line or "<lambda> in etl.py" in line
    assert ("Path(__file__)" in line) == ("open(" in body or "Path('" in body)
    after = warned(tmp_path, body, "--include", option)
    assert not after or "looks for files that travel in the directory" in after[0]


@pytest.mark.parametrize(
    "body",
    [
        "return open('nothing.csv')",
        "return 'data'",
        "return 'here', 'a/b', '/', '.', '..', ''",
        "open('out.csv', 'w').write('x')",
        "open('out.csv', mode='ab').write(b'x')",
        "(HERE / 'out.csv').write_text('x')",
        "Path('out.csv').write_text('x')",
        "return open('/etc/hostname').read()",
        "return open('here.csv\\0')",
        "return 'here.csv\\n' * 2",
    ],
)
def test_what_is_no_file_to_be_read_is_not_told(tmp_path, body):
    """Words that are no paths, files that are not there, of the system, or that are written."""
    assert warned(tmp_path, body) == []


def test_a_file_in_a_value_is_told(tmp_path):
    """A path that a global holds, as an absolute one, is found nowhere else."""
    before = f"FILE = Path({str(tmp_path / 'here.csv')!r})\n"
    (line,) = warned(tmp_path, "return {'of': FILE}", before=before)
    assert "--include here.csv" in line


def test_many_are_told_in_short(tmp_path, caplog):
    """A flow of a hundred files has one line."""
    names = [f"n{number}.csv" for number in range(20)]
    for name in names:
        (tmp_path / name).write_text("")
    with caplog.at_level(logging.WARNING):
        (line,) = warned(tmp_path, f"for name in {tuple(names)!r}:\n    open(name)")
    assert "and 15 more" in line

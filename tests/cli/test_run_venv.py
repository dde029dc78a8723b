"""`prefect run --in venv`: what a flow finds in the environment that is made for it."""

import os
import subprocess
import sys

import pytest
from own_venv import Venv
from project_making import project

FLOW = """
import subprocess, sys
from importlib import metadata, util
import msgpack, ownlib
from prefect import Flow, task

CHILD = ["-c", "import msgpack, sys; print('child', sys.prefix)"]

@task
def tell():
    print("of the lock", msgpack.packb([1]), msgpack.__file__.startswith(sys.prefix))
    print("own", ownlib.ANSWER, metadata.version("ownlib"))
    print("of here", [name for name in ("click", "pytest", "strange") if util.find_spec(name)])
    subprocess.run([sys.executable, *CHILD], check=True)

with Flow("tells") as flow:
    tell()
"""
ELSEWHERE = """
import sys
import msgpack
from prefect import Flow, task

@task
def tell():
    print("series", sys.version_info[:2], msgpack.packb([1]))

with Flow("tells") as flow:
    tell()
"""


@pytest.fixture
def machine(tmp_path):
    """A Python that has an own project, editably, and a flow that uses it; both in one directory."""
    venv = Venv(tmp_path / "venv")
    venv.install("-e", project(tmp_path / "project"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "tells.py").write_text(FLOW)

    def run(*arguments, before=(), **environment):
        done = subprocess.run(
            [*before, venv.python, "-P", "-m", "prefect", *arguments], cwd=work,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")} | environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, done.stderr

    run("keygen", "flow.key")
    return run


def test_a_flow_that_brings_all_runs_without_a_network(machine, tmp_path):
    """Packages of an index are kept for the next run; what is one's own is not."""
    machine("build", "tells.py", "--vendor", "--key-file", "flow.key")
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "strange.py").touch()
    space = ("unshare", "--net", "--user", "--map-root-user")
    for count in range(2):
        out, err = machine(
            "run", "tells.flow", "--key-file", "flow.key", "--in", "venv", before=space,
            PYTHONPATH=str(strange),
        )  # fmt: skip
        assert ("Making an environment" in err) == (count == 0)
        (prefix,) = (line.split()[1] for line in out.splitlines() if line.startswith("child "))
        assert prefix.startswith(str(tmp_path / "cache" / "prefect"))
        assert "of the lock b'\\x91\\x01' True" in out
        assert "own 42 1.0" in out
        assert "of here []" in out
    kept = [path for path in (tmp_path / "cache").rglob("*") if "ownlib" in path.name]
    assert not [path for path in kept if "directories" in path.parts]


WATCHED = """
import sys
from pathlib import Path

seen = []

def hook(event, arguments):
    if event == "subprocess.Popen":
        seen.append("a worker starts")
    elif event == "open" and str(arguments[0]).endswith("tells.flow"):
        seen.append("the flow is opened")

sys.addaudithook(hook)
from prefect.cli.start import main

try:
    main()
finally:
    Path("seen").write_text("; ".join(dict.fromkeys(seen)))
"""


def test_the_worker_starts_before_the_flow_is_opened(machine, tmp_path):
    """Once the environment is kept: it waits, with no package, until the flow is authenticated."""
    work = tmp_path / "work"
    (work / "watched.py").write_text(WATCHED)
    machine("build", "tells.py", "--key-file", "flow.key", "--vendor")
    for count, keys, status in ((0, "flow.key", 0), (1, "flow.key", 0), (2, "other.key", 2)):
        machine("keygen", "other.key") if count == 1 else None
        done = subprocess.run(
            [tmp_path / "venv" / "bin" / "python", "-P", "watched.py", "run", "tells.flow", "--in",
             "venv", "--key-file", keys], cwd=work, check=False, capture_output=True, text=True,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}, timeout=240,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        assert ("own 42" in done.stdout) == (status == 0)
        if count:
            assert (work / "seen").read_text() == "a worker starts; the flow is opened"


def test_a_flow_for_another_series_runs_in_that(machine, tmp_path):
    """One that is locked for another Python alone is run by it, without an option."""
    other = (3, 12) if sys.version_info[:2] != (3, 12) else (3, 13)
    (tmp_path / "work" / "tells.py").write_text(ELSEWHERE)
    machine("build", "tells.py", "--key-file", "flow.key", "--python", "{}.{}".format(*other))
    out, _ = machine("run", "tells.flow", "--key-file", "flow.key", "--in", "venv")
    assert f"series {other}" in out


def test_an_environment_without_dask_is_refused_before_it_is_made(sealed):
    """With what helps: the requirement at the run of a file, or at the build."""
    dask = ("--in", "venv", "--executor", "tcp://127.0.0.1:9")
    _, err = sealed("run", "etl.flow", "--key-file", "flow.key", *dask, status=2)
    assert "-r 'dask[distributed]' to `prefect run FILE.py`, or to `prefect build`" in err

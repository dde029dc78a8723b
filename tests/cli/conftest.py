"""The command, run as its users run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ETL = """
import helper_beside_it
from prefect import Flow, Parameter, task

@task
def extract(n):
    return list(range(n))

@task(max_retries=2)
def transform(x):
    return helper_beside_it.double(x)

@task(timeout=60)
def load(xs, fail):
    print("loaded", xs)
    if fail:
        raise RuntimeError("as asked")

with Flow("etl & co") as flow:
    load(transform.map(extract(Parameter("n", default=3))), Parameter("fail", default=False))

if __name__ == "__main__":
    raise SystemExit("the guarded part ran")
"""
HELPER = "def double(x):\n    return 2 * x\n"


NOISY = """
import atexit, ctypes, os, subprocess, sys, threading, time
print("while it is loaded")
from prefect import Flow, task

def late():
    print("print at exit", os.environ.get("NOISE", ""))
    os.write(1, b"write at exit\\n")
    ctypes.CDLL(None).puts(b"C at exit")

@task
def noisy():
    atexit.register(late)
    print("print", file=sys.stderr)
    os.write(1, b"write to 1\\n")
    os.write(2, b"write to 2\\n")
    ctypes.CDLL(None).puts(b"C")
    subprocess.run("echo child; echo child error >&2", shell=True, check=True)
    os.write(1, b"no end")

with Flow("noisy") as flow:
    noisy()
"""
NOISE = {
    "print", "write to 1", "write to 2", "C", "child", "child error", "no end", "write at exit",
    "C at exit",
}  # fmt: skip


class Prefect:
    """Runs `prefect` in a directory, with nothing on standard input."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *arguments, status=0, **environment):
        """Run the command; check its exit status; return what it printed to (out, err)."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=self.directory, env=os.environ | environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr or "failed while it was loaded" in done.stderr
        return done.stdout, done.stderr


@pytest.fixture
def prefect(tmp_path, monkeypatch) -> Prefect:
    """The command in a directory with etl.py and a helper module beside it."""
    monkeypatch.delenv("PREFECT_ENCRYPTION_KEY", raising=False)
    (tmp_path / "etl.py").write_text(ETL)
    (tmp_path / "helper_beside_it.py").write_text(HELPER)
    return Prefect(tmp_path)


@pytest.fixture
def sealed(prefect) -> Prefect:
    """The command in a directory that also has etl.flow and its key, flow.key."""
    prefect("keygen", "flow.key")
    prefect("build", "etl.py", "-o", "etl.flow", "--key-file", "flow.key")
    return prefect

"""`prefect run --in`: the same sealed flow in different places, and what each tells and leaves."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

FLOW = """
import os, sys
from prefect import Flow, Parameter, task
from prefect.environments import PickleEnvironment

@task
def report(n):
    print("prefix", sys.prefix)
    print("token", os.environ["TOKEN"], "key", os.environ.get("PREFECT_ENCRYPTION_KEY"))
    return n

@task
def double(n):
    return 2 * n

@task
def pair(n):
    return (n, {n})

with Flow("etl", environment=PickleEnvironment(secrets=["TOKEN"])) as flow:
    n = report(Parameter("n", default=2))
    double(n)
    pair(n)
"""

LONG = """
import time
from prefect import Flow, task

@task
def wait():
    try:
        print("waiting", flush=True)
        time.sleep(600)
    finally:
        print("cleaned up", flush=True)

with Flow("long") as flow:
    wait()
"""


@pytest.fixture
def sealed(tmp_path, prefect):
    """A sealed flow in the current directory, with its key."""
    (tmp_path / "etl.py").write_text(FLOW)
    (tmp_path / "long.py").write_text(LONG)
    prefect("keygen", "flow.key")
    for name in ("etl", "long"):
        prefect("build", f"{name}.py", "-o", f"{name}.flow", "--key-file", "flow.key")
    return tmp_path


@pytest.mark.parametrize("place", ["here", "venv"])
def test_a_flow_has_the_same_result_and_the_same_secrets_everywhere(
    sealed, prefect, place, monkeypatch
):
    """Values come back as JSON or as a pickle; tasks have secrets, masked, and never the key."""
    monkeypatch.setenv("TOKEN", "canary-8872")
    for name in ("out.json", "out.pkl"):
        out, err = prefect(
            "run", "etl.flow", "--key-file", "flow.key", "--in", place, "-p", "n=3",
            "--result", name,
        )  # fmt: skip
        assert "token *** key None" in out, err
        assert "canary-8872" not in out + err
    told = json.loads((sealed / "out.json").read_text())
    assert [told["flow"], told["state"]] == ["etl", "Success"]
    values = {task["task"]: task.get("result") for task in told["tasks"]}
    assert values == {"n": None, "report-1": None, "double-1": 6, "pair-1": [3, [3]]}
    assert pickle.loads((sealed / "out.pkl").read_bytes()) == {"double-1": 6, "pair-1": (3, {3})}
    has_own = "prefect/v1/directories" in out
    assert has_own == (place == "venv")


@pytest.mark.parametrize("place", ["here", "venv"])
def test_what_is_wrong_is_said_before_a_place_is_made(sealed, prefect, place, monkeypatch):
    """A missing secret, a wrong parameter and an option that the place has not are refusals."""
    run = ("run", "etl.flow", "--key-file", "flow.key", "--in", place)
    monkeypatch.delenv("TOKEN", raising=False)
    assert "TOKEN" in prefect(*run, status=2)[1]
    monkeypatch.setenv("TOKEN", "canary-8872")
    assert "no parameter 'm'" in prefect(*run, "-p", "m=1", status=2)[1]
    for option in (("--memory", "1g"), ("--volume", "/a:/b"), ("--user", "1")):
        out, err = prefect(*run, *option, status=2)
        assert option[0] in err
        assert out == ""
    _, err = prefect(*run, "--result", "out.csv", status=2)
    assert ".json" in err


@pytest.mark.parametrize("place", ["here", "venv"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_its_tasks_clean_up(sealed, place, number):
    """Ctrl-C and SIGTERM reach tasks in every place; the exit status is the signal's."""
    command = [sys.executable, "-m", "prefect", "run", "long.flow", "--key-file", "flow.key"]
    process = subprocess.Popen(
        [*command, "--in", place], cwd=sealed, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=dict(os.environ), start_new_session=True,
    )  # fmt: skip
    for line in process.stdout:
        if "waiting" in line:
            break
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert "cleaned up" in out
    assert process.returncode == 128 + number, err
    assert (out + err).count("Stopped.") == 1


def test_a_killed_run_leaves_no_worker(sealed):
    """A kill of the command ends what it started in another place, too."""
    command = [sys.executable, "-m", "prefect", "run", "long.flow", "--key-file", "flow.key"]
    process = subprocess.Popen(
        [*command, "--in", "venv"], cwd=sealed, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "waiting" in line:
            break
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    process.kill()
    process.wait()
    process.stdout.close()
    assert children
    deadline = time.monotonic() + 30
    while any(_runs(int(child)) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return bool(state) and not state.startswith("Z")

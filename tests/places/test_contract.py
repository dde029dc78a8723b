"""What holds in every place alike: one flow, sealed or as a sealed image, run by the command in each."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import await_end

FLOW = """
import os, sys, time
from prefect import Flow, Parameter, context, task
from prefect.environments import PickleEnvironment

@task
def tell(n):
    print("printed", os.environ["TOKEN"], os.environ.get("PREFECT_ENCRYPTION_KEY"))
    print("printed as an error", file=sys.stderr)
    os.system("echo from a child")
    context.logger.warning("logged %s", os.environ["TOKEN"])
    directory = context.get("output_dir")
    if directory:
        (directory / "made.txt").write_text(f"{n}")
    return n

@task
def halves(n):
    return [n / 2, n / 4]

@task
def check(x):
    if x < 0:
        raise ValueError(f"{x} is below nothing")
    return (x, "ä")

@task
def leave(n):
    if n == 77:
        for number in range(3, 60):  # bytes that somebody writes are no report
            try:
                os.write(number, b"x")
            except OSError:
                pass
        os._exit(0)
    if n == 78:
        os._exit(3)

@task
def wait(n):
    try:
        print("waiting", flush=True)
        time.sleep(600 if n == 99 else 0)
    finally:
        print("cleaned up", flush=True)

with Flow("NAME", environment=PickleEnvironment(secrets=["TOKEN"])) as flow:
    n = tell(Parameter("n", default=8))
    leave(n, upstream_tasks=[n])
    check.map(halves(n))
    wait(n)
"""
TOKEN = "canary-8872-token"
PLACES = [
    "here",
    "venv",
    *(pytest.param(p, marks=pytest.mark.services) for p in ("sealed-sandbox", "sandbox", "engine")),
]
SEALED = ("here", "venv", "sealed-sandbox")


class Package:
    """A flow that was packaged for a place, and the command that runs it there."""

    def __init__(self, directory: Path, place: str, artifact: str) -> None:
        self.directory = directory
        self.place = place
        self.command = [
            sys.executable, "-m", "prefect", "run", artifact, "--in", place.rpartition("-")[2],
            "--key-file", "flow.key",
        ]  # fmt: skip

    def start(self, *options, **environment):
        """Start the run."""
        variables = {**os.environ, "TOKEN": TOKEN, **environment}
        return subprocess.Popen(
            [*self.command, *options], cwd=self.directory, env=variables, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def __call__(self, *options, status=0, **environment):
        """Run it; check the exit status; return what was written to (out, err)."""
        process = self.start(*options, **environment)
        out, err = process.communicate(timeout=240)
        assert process.returncode == status, (process.returncode, out, err)
        return out, err


def prefect(directory, *arguments):
    """Run the command to its success."""
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], cwd=directory, capture_output=True,
        text=True, check=False, timeout=240, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)


@pytest.fixture(scope="module")
def made():
    """Where each worker of the tests has its packages: they are made once."""
    return {}


@pytest.fixture(params=PLACES)
def package(request, made, tmp_path_factory):
    """The flow, packaged for a place: sealed, or in a sealed image on disk or in an engine."""
    place = request.param
    if place not in made:
        directory = tmp_path_factory.mktemp(place)
        prefect(directory, "keygen", "flow.key")
        source = directory / "etl.py"
        if place in SEALED:
            source.write_text(FLOW.replace("NAME", "contract"))
            artifact = "etl.flow"
            prefect(directory, "build", "etl.py", "-o", artifact, "--key-file", "flow.key")
        else:
            base = request.getfixturevalue("base_image")
            unique = f"{request.getfixturevalue('unique')}"
            source.write_text(FLOW.replace("NAME", unique))
            build = ["build", "etl.py", "--image", base, "--key-file", "flow.key"]
            build += ["-r", "cloudpickle", "-r", "cryptography"]
            if place == "engine":
                request.getfixturevalue("daemon")
                prefect(directory, *build, "--tag", unique)
                artifact = f"image:{unique}"
            else:
                artifact = "./etl.tar"
                prefect(directory, *build, "--export", artifact)
        made[place] = Package(directory, place, artifact)
    return made[place]


def test_states_and_values_are_the_same_everywhere(package):
    """As JSON and as a pickle: tuples, floats and children come back as they were."""
    out, err = package("-p", "n=6", "--result", "out.json")
    told = json.loads((package.directory / "out.json").read_text())
    assert told["state"] == "Success", (out, err)
    states = {task["name"]: task["state"] for task in told["tasks"]}
    assert states == {
        "n": "Success", "tell": "Success", "halves": "Success", "check": "Mapped", "wait": "Success",
        "leave": "Success",
    }  # fmt: skip
    (check,) = [task for task in told["tasks"] if task["name"] == "check"]
    assert [child["result"] for child in check["children"]] == [[3.0, "ä"], [1.5, "ä"]]
    package("-p", "n=6", "--result", "out.pkl")
    found = pickle.loads((package.directory / "out.pkl").read_bytes())
    assert found == {"check-1": [(3.0, "ä"), (1.5, "ä")], "wait-1": None, "leave-1": None}


def test_tasks_have_secrets_and_nobody_else_sees_them(package):
    """The key is in no task; what tasks print, log and start writes the secret masked."""
    for options in ([], ["--json"]):
        out, err = package(*options)
        text = out + err
        assert "printed *** None" in text
        assert "logged ***" in text
        assert "printed as an error" in text
        assert "from a child" in text
        assert "canary" not in text


def test_standard_error_is_kept_apart_everywhere(package):
    """What tasks write there comes out there; what they print and what is logged on standard output."""
    out, err = package()
    assert "printed as an error" in err
    assert "printed ***" in out
    assert "from a child" in out
    assert "Success" in out
    assert "printed ***" not in err
    assert "printed as an error" not in out


def test_events_are_the_same_everywhere(package):
    """As JSON, but for the times: each task's states, in an order that the graph allows."""
    out, _ = package("--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert [e["state"] for e in events if e["event"] == "flow"] == ["Success"]
    tasks = {(e["name"], e["map_index"], e["state"]) for e in events if e["event"] == "task"}
    assert {("check", None, "Mapped"), ("check", 1, "Success"), ("wait", None, "Success")} <= tasks


def test_files_come_out(package):
    """What tasks write to the output directory is the caller's, whoever ran there."""
    package("--output", "files", "-p", "n=5")
    made = package.directory / "files" / "made.txt"
    assert made.read_text() == "5"
    assert made.stat().st_uid == os.getuid()


def test_a_run_that_was_kept_is_gone_on_with(package):
    """What succeeded is taken from the store, which is the caller's; its records tell the place, and no secret."""
    _, err = package("--store", "runs", "-p", "n=-4", status=1)
    assert "Kept as" in err
    assert "Go on with it: prefect run" in err
    out, err = package(
        "--store", "runs", "--resume", "-p", "n=-4", "--result", "out.json", status=1
    )
    assert "printed" not in out
    assert "Cached" in out
    told = json.loads((package.directory / "out.json").read_text())
    assert "Cached" in {task["state"] for task in told["tasks"]}
    store = package.directory / "runs"
    records = [record.read_text() for record in sorted((store / "runs").iterdir())]
    first, then = (json.loads(text.splitlines()[0]) for text in records)
    assert then["resumes"] == first["run"]
    assert {first["place"], then["place"]} == {package.place.rpartition("-")[2]}
    assert first["artifact"].startswith("sha256:")
    assert TOKEN not in "".join(records)
    assert {path.stat().st_uid for path in store.rglob("*")} == {os.getuid()}
    _, err = package("--store", "runs", "--resume", "nonsense", status=2)
    assert "none of that name" in err


def test_a_failed_flow_is_told_with_its_traceback(package):
    """Exit status 1, the error in what is printed, and in the result."""
    out, err = package("-p", "n=-4", "--result", "failed.json", status=1)
    assert "-2.0 is below nothing" in out + err
    told = json.loads((package.directory / "failed.json").read_text())
    assert told["state"] == "Failed"
    (check,) = [task for task in told["tasks"] if task["name"] == "check"]
    assert "is below nothing" in check["children"][0]["traceback"]


def test_what_is_wrong_is_said_before_anything_runs(package):
    """A secret without a value, a parameter that is none, a result that could not be written."""
    for options, words in (
        (["-p", "m=1"], "no parameter 'm'"),
        (["-p", "n=x"], "'x' is not"),
        (["--result", "out.csv"], ".json"),
        (["--executor", "cloud"], "no executor 'cloud'"),
        (["--secret", "ABSENT"], "ABSENT"),
        (["--cpus", "0"], "above 0"),
    ):
        out, err = package(*options, status=2)
        assert words in err
        assert "printed" not in out


def test_a_run_that_tells_of_no_end_is_no_success(package):
    """A task that ends its process with 0 leaves no report of the worker's: status 2, however it is told."""
    if package.place == "here":  # where the process is the command itself
        return
    for options in ([], ["--json"], ["--result", "none.json"]):
        _, err = package("-p", "n=77", *options, status=2)
        assert "told nothing of what became of the flow" in err
    assert not (package.directory / "none.json").exists()
    _, err = package("-p", "n=78", status=3)
    assert "The worker ended with status 3" in err


def test_executors_are_chosen_for_every_place(package):
    """Tasks run in threads where that is asked for."""
    out, err = package("--executor", "threads:2", "--result", "threads.json")
    told = json.loads((package.directory / "threads.json").read_text())
    assert told["state"] == "Success", (out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_and_its_tasks_clean_up(package, number):
    """Ctrl-C and SIGTERM reach tasks; the exit status is the signal's."""
    process = package.start("-p", "n=99")
    read = []
    for line in process.stdout:
        read.append(line)
        if "waiting" in line:
            break
    else:
        pytest.fail(f"{read} {process.stderr.read()}")
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert "cleaned up" in out
    assert process.returncode == 128 + number, err
    assert (out + err).count("Stopped.") == 1


def test_a_killed_command_leaves_no_process(package):
    """A kill -9 of the command ends what it started as its children."""
    process = package.start("-p", "n=99")
    for line in process.stdout:
        if "waiting" in line:
            break
    children = _descendants(process.pid)
    process.kill()
    process.communicate(timeout=60)
    await_end(*children)


def _descendants(pid):
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return [*map(int, found), *(each for child in found for each in _descendants(int(child)))]

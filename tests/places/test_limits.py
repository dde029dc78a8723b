"""Limits and resources of a packaged flow: kept in each place, in threads and in processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FLOW = """
import json, os, time
from prefect import Flow, context, task

def meet(number):
    # Two of a kind run together, if two may: each of the first two waits for the other.
    if number < 2:
        (context.output_dir / f"here-{number}").touch()
        until = time.monotonic() + 60
        while not (context.output_dir / f"here-{1 - number}").exists():
            assert time.monotonic() < until
            time.sleep(0.005)

@task(tags=["db"])
def query(number):
    begun = time.monotonic()
    meet(number)
    time.sleep(0.01)
    return begun, time.monotonic(), os.getpid()

@task(resources={"GPU": 1})
def train(number):
    begun = time.monotonic()
    time.sleep(0.01)
    return begun, time.monotonic(), os.getpid()

@task
def tell(queries, trainings):
    most = {}
    for kind, found in (("db", queries), ("GPU", trainings)):
        most[kind] = max(
            sum(begun <= moment < ended for begun, ended, _ in found) for moment, _, _ in found
        )
    most["processes"] = len({pid for _, _, pid in [*queries, *trainings]})
    (context.output_dir / "most.json").write_text(json.dumps(most))

with Flow("NAME", executor="threads:4", limits={"db": 2, "GPU": 1}) as flow:
    tell(query.map(list(range(6))), train.map(list(range(6))))
"""


def prefect(directory, *arguments):
    """Run the command, and return what it has ended with."""
    return subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], cwd=directory, capture_output=True,
        text=True, check=False, timeout=240, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def built(directory, flow, *arguments):
    """Package a flow."""
    (directory / "flow.py").write_text(flow)
    done = prefect(directory, "build", "flow.py", *arguments)
    assert done.returncode == 0, (done.stdout, done.stderr)


def limits_are_kept(directory, artifact, *options):
    """Run it as it is, and in processes, and see how many ran at a time."""
    for executor, processes in (((), 1), (("--executor", "processes:4"), None)):
        output = Path(
            "-".join([options[1], *(each.strip("-").replace(":", "-") for each in executor)])
        )
        done = prefect(directory, "run", artifact, *options, *executor, "--output", str(output))
        assert done.returncode == 0, (done.stdout, done.stderr)
        most = json.loads((directory / output / "most.json").read_text())
        assert (most["db"], most["GPU"]) == (2, 1)
        assert most["processes"] == processes or (processes is None and most["processes"] > 1)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """The flow, sealed, with its key."""
    directory = tmp_path_factory.mktemp("sealed")
    assert prefect(directory, "keygen", "flow.key").returncode == 0
    built(directory, FLOW.replace("NAME", "limited"), "-o", "a.flow", "--key-file", "flow.key")
    return directory


@pytest.mark.parametrize(
    "place", ["here", "venv", pytest.param("sandbox", marks=pytest.mark.services)]
)
def test_in_a_sealed_flow(place, sealed):
    """A sealed flow takes its limits along, and what runs it keeps to them."""
    limits_are_kept(sealed, "a.flow", "--in", place, "--key-file", "flow.key")


@pytest.mark.services
def test_in_an_image(base_image, unique, tmp_path):
    """So does an image, in an engine and in a sandbox."""
    flow = FLOW.replace("NAME", unique)
    built(tmp_path, flow, "--image", base_image, "--tag", unique, "-r", "cloudpickle")
    limits_are_kept(tmp_path, f"image:{unique}", "--in", "engine")
    built(tmp_path, flow, "--image", base_image, "--export", "a.tar", "-r", "cloudpickle")
    limits_are_kept(tmp_path, "./a.tar", "--in", "sandbox")


def test_what_nobody_says_is_refused_before_it_runs(tmp_path):
    """A packaged flow that needs more than its limits have is refused in the place, with the fix."""
    flow = FLOW.replace("NAME", "more").replace('"GPU": 1})', '"GPU": 3})', 1)
    assert prefect(tmp_path, "keygen", "flow.key").returncode == 0
    built(tmp_path, flow, "-o", "a.flow", "--key-file", "flow.key")
    done = prefect(tmp_path, "run", "a.flow", "--in", "here", "--key-file", "flow.key")
    assert done.returncode != 0
    assert "needs 3 GPU, and limits allow 1" in done.stderr

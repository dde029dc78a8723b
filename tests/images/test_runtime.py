"""`prefect.images.runtime`: what of this package is inside an image, and that it is enough."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from base_making import layout

from prefect.images import assembly, runtime
from prefect.images.runtime import INSIDE, RuntimeFiles, runtime_files
from prefect.oci.cache.store import Store
from prefect.payload.packing import pickle_flow

SOURCE = Path(__file__).resolve().parents[2] / "src"
IMAGE = """
import sys
from prefect import Flow, task
from prefect.environments import ContainerEnvironment
import prefect

assert prefect.__file__.startswith(sys.argv[2]), prefect.__file__

@task
def hello():
    print("hello")

with Flow("hello") as flow:
    hello()
print(*ContainerEnvironment(sys.argv[1], python_dependencies=[]).digests(flow))
"""


def test_the_runtime_is_what_is_inside_and_nothing_else():
    """Sources alone, in order: bytecode is made for the image's Python."""
    files = runtime_files()
    every = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}
    inside = {"__init__", *INSIDE}
    expected = [name for name in every if name.split("/")[1].removesuffix(".py") in inside]
    assert list(files) == sorted(expected)
    assert all(files[name] == every[name].read_bytes() for name in files)
    assert "prefect/worker/__main__.py" in files


def test_its_layer_is_known_again_without_reading_its_files(tmp_path, monkeypatch):
    """Unless one of them may have changed since; and by what is in them."""

    def fail():
        raise AssertionError("The files are read")

    with Store(tmp_path) as store:
        key = assembly._runtime_key(RuntimeFiles(), ["3.11"], store)
        assert key == assembly._runtime_key(dict(runtime_files()), ["3.11"], store)
        monkeypatch.setattr(runtime, "runtime_files", fail)
        assert assembly._runtime_key(RuntimeFiles(), ["3.11"], store) == key
        for other in (["3.12"], ["3.11"]):
            with pytest.raises(AssertionError, match="are read"):
                assembly._runtime_key(RuntimeFiles(), other, store)
            monkeypatch.setattr(runtime, "stamp", lambda path: [path, "changed"])


def test_it_runs_a_packaged_flow_by_itself(flow, tmp_path):
    """In an empty directory, with cloudpickle beside it, and no other distribution within reach."""
    installed = metadata.distribution("cloudpickle").files
    beside = {str(file): file.read_binary() for file in installed if file.suffix != ".pyc"}
    for name, content in (runtime_files() | beside).items():
        path = tmp_path / "alone" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    pickled = pickle_flow(flow)
    (tmp_path / "manifest.json").write_bytes(pickled.manifest.to_json())
    (tmp_path / "payload.pickle").write_bytes(pickled.payload)

    def alone(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-S", *arguments],  # -S: nothing of this environment's packages
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "alone")},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    for absent in ("click", "docker", "prefect.images", "prefect.oci"):
        assert "ModuleNotFoundError" in alone("-c", f"import {absent}").stderr
    done = alone("-m", "prefect.worker", "run", f"--flow={tmp_path}", "-p", "n=3")
    assert done.returncode == 0, done.stderr
    assert "the total is 6" in done.stdout
    assert "flow 'sums & products': Success" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """Return a function that adds a comment to a module of a copy, and gives an image's digest and id."""
    place = tmp_path_factory.mktemp("copied")
    shutil.copytree(SOURCE, place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "image.py").write_text(IMAGE)
    base = layout(place / "base")

    def made(commented: str | None = None) -> str:
        path = place / "src" / "prefect" / (commented or "version.py")
        before = path.read_text()
        path.write_text(before + ("# A comment.\n" if commented else ""))
        try:
            return subprocess.run(
                [sys.executable, "image.py", base, str(place / "src")],
                cwd=place, env=os.environ | {"PYTHONPATH": str(place / "src")},
                check=True, stdout=subprocess.PIPE, text=True, timeout=120,
            ).stdout  # fmt: skip
        finally:
            path.write_text(before)

    return made


def test_a_comment_outside_changes_no_digest(digests):
    """In the registry's client it does not; in what is inside it does."""
    first = digests()
    assert len(first.split()) == 2
    for outside in ("oci/registry/client.py", "images/assembly.py", "cli/main.py"):
        assert digests(outside) == first
    assert digests("core/flow.py") != first

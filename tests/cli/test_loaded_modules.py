"""What each command leaves unimported: people wait for it each time."""

import os
import subprocess
import sys
import uuid

import pytest

import records

LOADED = (
    "import sys, atexit; from prefect.cli.start import main;"
    "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
)
IMAGES = {
    "docker", "urllib3", "http.client", "ssl", "isal", "uv", "tarfile", "prefect.oci",
    "prefect.images", "prefect.dependencies",
}  # fmt: skip
ELSEWHERE = {
    "rich", "distributed", "asyncio", "concurrent.futures", "email", "importlib.metadata",
    "subprocess", "tempfile", "prefect.engine.executors.dask", "prefect.engine.executors.threads",
}  # fmt: skip
SEALED = {"cryptography", "prefect.sealed", "prefect.opening", "prefect.sealing"}
PICKLED = {"cloudpickle", "prefect.payload.loading", "prefect.payload.pickler", "prefect.sealing"}
RUN = {"prefect.engine.flow_run"}
COMPILED = {"dataclasses"}  # it compiles code for each class: `prefect.frozen` has none
BUILT = {"prefect.payload.pickler", "prefect.payload.canonical", "prefect.sealing"}
KEY = ("--key-file", "flow.key")
HELLO = """
from prefect import Flow, task

@task
def hello():
    print("hello")

with Flow("hello") as flow:
    hello()
"""
CASES = {
    "keygen": (("keygen", "new.key"), COMPILED | IMAGES | ELSEWHERE | PICKLED | RUN),
    "build": (("build", "hello.py", "-o", "new.flow", *KEY), IMAGES | ELSEWHERE | RUN),
    "run": (("run", "hello.flow", *KEY), IMAGES | ELSEWHERE | BUILT),
    "run a file": (("run", "hello.py"), COMPILED | IMAGES | ELSEWHERE | SEALED | PICKLED),
    "info": (("info", "hello.flow", *KEY), COMPILED | IMAGES | ELSEWHERE | PICKLED | RUN),
    "outline": (("info", "hello.flow"), COMPILED | IMAGES | ELSEWHERE | PICKLED | RUN),
    "check": (("check", "hello.flow", *KEY), COMPILED | IMAGES | ELSEWHERE | PICKLED),
    "diff": (
        ("diff", "hello.flow", "hello.flow", *KEY),
        COMPILED | IMAGES | ELSEWHERE | PICKLED | RUN,
    ),
    "verify": (("verify", "hello.flow", *KEY), COMPILED | IMAGES | ELSEWHERE | PICKLED | RUN),
    "graph": (("graph", "hello.py"), COMPILED | IMAGES | ELSEWHERE | SEALED | PICKLED | RUN),
    "report": (
        ("report", "run.jsonl"),
        COMPILED | IMAGES | ELSEWHERE | PICKLED | RUN,
    ),
    "mistyped": (("biuld",), IMAGES | ELSEWHERE | SEALED | PICKLED | RUN),
}


@pytest.fixture(scope="module")
def flow_files(tmp_path_factory):
    """A directory with hello.py, hello.flow and its key."""
    directory = tmp_path_factory.mktemp("flow")
    (directory / "hello.py").write_text(HELLO)
    records.write(directory / "run.jsonl", records.small())
    for arguments in (["keygen", "flow.key"], ["build", "hello.py", *KEY]):
        subprocess.run([sys.executable, "-m", "prefect", *arguments], cwd=directory, check=True)
    return directory


def loaded_by(directory, *arguments, status=0):
    """Run the command, and return the names of the modules that it had imported in the end."""
    environment = {k: v for k, v in os.environ.items() if k != "PREFECT_ENCRYPTION_KEY"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], cwd=directory, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    loaded = {*done.stderr.split("\n")[-2].split()}
    assert "prefect.cli.start" in loaded
    return loaded


@pytest.mark.parametrize("name", CASES)
def test_a_command_imports_what_it_uses_alone(name, flow_files):
    """No command imports what another one needs, nor slow modules that it can do without."""
    arguments, unused = CASES[name]
    loaded = loaded_by(flow_files, *arguments, status=2 if name == "mistyped" else 0)
    assert (unused & loaded) == set()


@pytest.mark.services
def test_images_in_a_container_engine_need_neither_a_registry_nor_keys(
    flow_files, base_image, daemon
):
    """Where base and image are in the engine, no client of registries is loaded, nor cryptography."""
    tag = f"loaded-modules-{uuid.uuid4().hex}"
    elsewhere = SEALED | RUN | {"rich", "prefect.oci.registry.client"}
    daemon.images.pull(base_image)
    loaded = loaded_by(flow_files, "build", "hello.py", "--image", base_image, "--tag", tag)
    assert (loaded & elsewhere) == set()
    assert loaded_by(flow_files, "run", f"image:{tag}") & (elsewhere | PICKLED) == set()

"""`prefect build --vendor`: what a flow needs travels with it."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import prefect as package
from prefect.dependencies.uv import uv_program
from prefect.environments import PickleEnvironment

FLOW = """
import msgpack
from prefect import Flow, task

@task
def pack():
    import toolz
    print(msgpack.packb({"a": 1}), msgpack.__file__, toolz.first([7]))

with Flow("packs") as flow:
    pack()
"""
KEY = {"PREFECT_ENCRYPTION_KEY": PickleEnvironment().encryption_key}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python that has this package with what it needs, and nothing else."""
    directory = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([uv_program(), "venv", "-q", "--python", sys.executable, directory], check=True)
    needs = [
        f"{name}=={metadata.version(name)}"
        for line in metadata.requires("prefect")
        if "extra ==" not in line
        for name in [re.split(r"[^\w-]", line)[0]]
    ]
    python = directory / "bin" / "python"
    subprocess.run([uv_program(), "pip", "install", "-q", "--python", python, *needs], check=True)
    (site,) = (directory / "lib").glob("python*/site-packages")
    (site / "own.pth").write_text(f"{Path(package.__file__).parents[1]}\n")
    return python


def test_a_flow_runs_where_nothing_that_it_needs_is_installed(prefect, bare, tmp_path):
    """No index is asked; machine code is of the platform; all is gone afterwards."""
    (prefect.directory / "packs.py").write_text(FLOW)
    (empty := tmp_path / "empty").mkdir()
    _, err = prefect("build", "packs.py", "--vendor", **KEY)
    assert "Taking along 2 wheels for Python" in err
    told = json.loads(prefect("info", "packs.flow", "--json", **KEY)[0])
    assert {name.partition("-")[0] for name in told["wheels"]} == {"msgpack", "toolz"}
    environment = os.environ | KEY | {"UV_NO_INDEX": "1", "UV_OFFLINE": "1", "TMPDIR": str(empty)}

    def run(*arguments):
        return subprocess.run(
            [bare, "-P", "-m", "prefect", *arguments, prefect.directory / "packs.flow"],
            cwd=empty, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    checked = run("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = run("run", "--in", "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert repr(b"\x81\xa1a\x01") in done.stdout
    assert f"{empty}/.prefect-wheels" in done.stdout
    assert list(empty.iterdir()) == []


def test_wheels_for_each_place_travel(prefect):
    """Of each platform and Python that is asked for; what is for all of them once."""
    (prefect.directory / "packs.py").write_text(FLOW)
    places = ("--for", "linux/amd64,macos/arm64", "--python", "3.11,3.12")
    prefect("build", "packs.py", "--vendor", *places, **KEY)
    names = json.loads(prefect("info", "packs.flow", "--json", **KEY)[0])["wheels"]
    assert len([name for name in names if name.startswith("msgpack-")]) == 4
    assert len([name for name in names if name.startswith("toolz-")]) == 1
    prefect("run", "packs.flow", **KEY)


def test_what_cannot_be_taken_along_is_refused(prefect):
    """Images have what they need; and without an index there is nothing to take."""
    (prefect.directory / "packs.py").write_text(FLOW)
    _, err = prefect("build", "packs.py", "--vendor", "--image", "python", status=2, **KEY)
    assert "--vendor" in err
    nowhere = {"UV_INDEX_URL": "http://127.0.0.1:9/simple", "UV_FIND_LINKS": "", "UV_NO_CACHE": "1",
               "XDG_CACHE_HOME": str(prefect.directory / "cache")}  # fmt: skip
    prefect("build", "packs.py", "--vendor", "-o", "x.flow", status=2, **KEY, **nowhere)
    assert not (prefect.directory / "x.flow").exists()

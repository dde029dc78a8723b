"""A worker that was started before there is anything to do: what it has, and what it becomes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from own_venv import Venv

TELL = """
import json, site, sys, sysconfig
print(json.dumps({
    "prefixes": [sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix],
    "executable": sys.executable,
    "sites": site.getsitepackages(),
    "user": site.ENABLE_USER_SITE,
    "path": [one for one in sys.path if "prefect" not in one and one],
    "library": sysconfig.get_path("purelib"),
    "hooked": "hooked_by_pth" in sys.modules,
    "customized": getattr(sys, "customized", False),
}))
"""
WAIT = [sys.executable, "-P", "-m", "prefect.worker", "wait"]


@pytest.fixture
def environment(tmp_path):
    """A virtual environment with a module that a .pth file imports, and a sitecustomize."""
    venv = Venv(tmp_path / "venv")
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for one in site.glob("*.pth"):
        one.unlink()
    (site / "hooked_by_pth.py").touch()
    (site / "hook.pth").write_text("import hooked_by_pth\n")
    (site / "sitecustomize.py").write_text("import sys; sys.customized = True\n")
    return venv.python


def told(*command):
    """Return what a Python says of itself."""
    out = subprocess.check_output([*map(str, command)], text=True, env={"PATH": os.environ["PATH"]})
    return json.loads(out)


def test_a_worker_that_enters_an_environment_is_as_its_python(environment, tmp_path):
    """Prefixes, paths, .pth files and sitecustomize are as if that program had been started."""
    frame = Venv(tmp_path / "frame")
    (site,) = (tmp_path / "frame" / "lib").glob("python*/site-packages")
    for one in site.glob("*"):  # no packages, not even this one
        one.unlink() if one.is_file() else None
    site.rename(tmp_path / "moved")
    enter = f"import sys; sys.path.append({str(place_of_prefect())!r})\n"
    enter += "from prefect.worker.waiting import enter; del sys.path[-1]\n"
    enter += f"enter({str(environment)!r})\n" + TELL
    started = told(environment, "-P", "-s", "-c", TELL)
    assert started["hooked"]
    assert started["customized"]
    assert told(frame.python, "-P", "-s", "-c", enter) == started


def place_of_prefect():
    """Return the directory in which this package is found."""
    import prefect

    return str(Path(prefect.__file__).parents[1])


def test_a_worker_that_gets_no_order_ends_and_says_nothing():
    """As where the key does not open the flow, or its command was killed."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*WAIT, f"--handover={reading}"], pass_fds=[reading], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as waiting:  # fmt: skip
        os.close(reading)
        os.close(writing)
        assert waiting.communicate(timeout=120)[0] == b""
        assert waiting.returncode == 0

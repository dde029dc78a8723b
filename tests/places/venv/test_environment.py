"""Environments that are made for flows, kept and used again."""

import hashlib
import subprocess
import sys

import pytest
from locked_making import manifest, wheel

from prefect.errors import RequirementsError
from prefect.places.venv.environment import environment_for


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A directory whose wheels are all that uv knows, and a cache of the test's own."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(directory))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return directory


def told(environment, program):
    """Return what a program writes in an environment."""
    done = subprocess.run(
        [environment.python, "-I", "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_has_what_is_locked_and_nothing_of_this_machine(index):
    """What the flow has locked is there, its scripts too, and of what is installed here nothing."""
    flow = manifest(wheel(index, "ours", ours="ANSWER = 42\n"))
    with environment_for(flow) as environment:
        assert told(environment, "import ours; print(ours.ANSWER)") == "42"
        program = "from importlib.util import find_spec; print(find_spec('pytest'), find_spec('click'))"
        assert told(environment, program) == "None None"
        script = environment.python.with_name("ours-tool").read_text()
        assert str(environment.python) in script


def test_its_worker_finds_this_package_and_cloudpickle(index):
    """The worker runs by the environment's Python, without having been installed into it."""
    flow = manifest(wheel(index, "ours"))
    with environment_for(flow) as environment:
        program = "import cloudpickle, ours, prefect.worker, sys; print(sys.prefix)"
        done = subprocess.run(
            [*environment.command, "exec", "--", str(environment.python), "-c", "pass"], check=False
        )
        assert done.returncode == 0
        found = subprocess.run(
            [environment.python, "-I", "-c",
             f"import sys; sys.path.insert(0, {environment.command[-1]!r}); {program}"],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    assert found.stdout.strip() == str(environment.python.parents[1])


def test_is_made_once(index, monkeypatch):
    """The second run of what is locked takes what the first has made, and starts no process."""
    flow = manifest(wheel(index, "ours"))
    lines = []
    with environment_for(flow, progress=lines.append) as first:
        assert any("Making an environment" in line for line in lines)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(subprocess, "Popen", None)
    del lines[:]
    with environment_for(flow, progress=lines.append) as second:
        assert second.python == first.python
    assert lines == []


def test_what_has_another_hash_than_the_lock_says_is_refused_and_nothing_is_kept(index):
    """A wheel that is not the locked one is refused, each time."""
    made = wheel(index, "ours")
    flow = manifest(made)
    wheel(index, "ours", ours="CHANGED = 1\n")
    for _ in range(2):
        with (
            pytest.raises(RequirementsError, match=r"(?s)cannot be installed.*[Hh]ash"),
            environment_for(flow),
        ):
            pass


def test_wheels_that_travelled_need_no_index(index, tmp_path):
    """What was taken along is installed without an index; own projects stay out of what is kept."""
    locked = wheel(index, "ours")
    brought = tmp_path / "brought"
    brought.mkdir()
    again = wheel(brought, "ours", ours="PUT_TOGETHER = 'again'\n")
    own = wheel(brought, "mine")
    entries = {
        each.name: {
            "size": each.stat().st_size,
            "sha256": hashlib.sha256(each.read_bytes()).hexdigest(),
            "executable": False,
        }
        for each in (again, own)
    }
    flow = manifest(locked, own, wheels=entries)
    locked.unlink()
    with environment_for(flow, brought) as environment:
        assert told(environment, "import ours; print(ours.PUT_TOGETHER)") == "again"
        assert environment.own == {own.name}
        find = "from importlib.util import find_spec; print(find_spec('mine'))"
        assert told(environment, find) == "None"  # what was encrypted is not kept in the clear


def test_its_own_series_is_this_one(index):
    """Of several series that are locked, that of this Python is taken."""
    flow = manifest(wheel(index, "ours"), series=("3.11", "3.12", "3.13"))
    with environment_for(flow) as environment:
        told_series = told(environment, "import sys; print(*sys.version_info[:2])")
    assert told_series == "{} {}".format(*sys.version_info)

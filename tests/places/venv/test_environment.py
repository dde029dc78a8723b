"""Environments that are made for flows, kept and used again."""

import hashlib
import subprocess
import sys

import other_pythons
import pytest
from locked_making import HERE, manifest, package, target, wheel

from prefect.errors import PlaceError, RequirementsError
from prefect.places.venv.contents import series_of
from prefect.places.venv.environment import environment_for, wheels_for
from prefect.pylock import Lock


def told(environment, program):
    """Return what a program writes in an environment."""
    done = subprocess.run(
        [environment.python, "-I", "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def run_worker(environment, *arguments):
    """Run the worker in an environment; return its exit status."""
    return subprocess.Popen([*environment.command, *arguments]).wait(60)


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
            pytest.raises(RequirementsError, match=r"(?s)cannot be installed.*another file than was locked"),
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
    assert wheels_for(flow) == {again.name, own.name}
    with pytest.raises(PlaceError, match="run it again"), environment_for(flow):
        pass
    with environment_for(flow, brought) as environment:
        assert told(environment, "import ours; print(ours.PUT_TOGETHER)") == "again"
        assert environment.own == {own.name}
        assert wheels_for(flow) == {own.name}  # the others are in it by now
        find = "from importlib.util import find_spec; print(find_spec('mine'))"
        assert told(environment, find) == "None"  # what was encrypted is not kept in the clear


def test_its_own_series_is_this_one(index):
    """Of several series that are locked, that of this Python is taken."""
    flow = manifest(wheel(index, "ours"), series=("3.11", "3.12", "3.13"))
    with environment_for(flow) as environment:
        told_series = told(environment, "import sys; print(*sys.version_info[:2])")
    assert told_series == "{} {}".format(*sys.version_info)


def test_another_series_is_found_and_remembered(index, monkeypatch):
    """A flow that is locked for other Pythons than this gets one of them, which uv finds once."""
    other = next(each for each in ("3.12", "3.13", "3.11") if each != HERE)
    other_pythons.python(other)  # is there, or fails
    flow = manifest(wheel(index, "ours"), series=(other,))
    with environment_for(flow) as environment:
        assert told(environment, "import ours, sys; print(sys.version[:4])") == other
        assert run_worker(environment, "exec", "--", str(environment.python), "-c", "pass") == 0
    monkeypatch.setattr(subprocess, "run", None)
    with environment_for(flow) as again:
        assert again.python == environment.python


def test_a_python_that_is_missing_is_named_with_the_fix(index):
    """A series that is not here is named, and how to have it."""
    flow = manifest(wheel(index, "ours"), series=("3.29",))
    with (
        pytest.raises(PlaceError, match=r"needs Python 3\.29.*`uv python install 3\.29`.*--python"),
        environment_for(flow),
    ):
        pass


def test_what_is_fixed_to_a_series_runs_in_that(index):
    """A flow that only the packaging series can run is refused where it is not locked for that."""
    fixed = {"fixed": ["a function that exec made"]}
    made = wheel(index, "ours")
    assert series_of(manifest(made, series=("3.11", HERE, "3.13"), **fixed)) == [HERE]
    with pytest.raises(PlaceError, match=rf"Only Python {HERE}.*exec made.*--python {HERE}"):
        series_of(manifest(made, series=("3.10",), **fixed))


def test_what_is_not_locked_for_this_platform_is_refused(index):
    """The error says for what it is locked, and with which option to build it for here."""
    lock = Lock.of({target(machine="s390x"): [package(wheel(index, "ours"))]}).text()
    with pytest.raises(PlaceError, match=r"linux/s390x, and nothing for.*--for linux/"):
        series_of(manifest(lock=lock))


def test_this_series_comes_first_then_that_of_the_build_then_the_newest():
    """Of several that are locked, the first that is here is taken."""
    made = ("3.9", "3.10", HERE, "3.14")
    every = manifest(lock=Lock.of({target(each): [] for each in made}).text(), python="3.10.2")
    assert series_of(every) == [HERE, "3.10", "3.14", "3.9"]


def test_a_flow_without_a_lock_gets_the_versions_that_were_recorded(index, monkeypatch):
    """It is said that nothing vouches for the files; from then on these are taken, and no other."""
    wheel(index, "ours", "2", ours="RECORDED = True\n")
    wheel(index, "ours", "3")
    recorded = {"requirements": {"ours": "ours==2"}, "installed": {"ours": "2"}}
    lines = []
    with environment_for(manifest(**recorded), progress=lines.append) as environment:
        assert told(environment, "import ours; print(ours.RECORDED)") == "True"
    assert any("without a lock" in line for line in lines)
    wheel(index, "ours", "2", ours="ANOTHER = True\n")
    with environment_for(manifest(**recorded)) as again:
        assert again.python == environment.python


def test_a_flow_that_needs_nothing_gets_an_empty_environment(index):
    """Without requirements there is no lock to miss."""
    lines = []
    with environment_for(manifest(), progress=lines.append) as environment:
        assert run_worker(environment, "exec", "--", str(environment.python), "-c", "pass") == 0
    assert not any("without a lock" in line for line in lines)


def test_a_locked_cloudpickle_is_the_one_that_the_worker_has(index):
    """What is locked comes before what this package would bring."""
    made = wheel(index, "cloudpickle", "9.0", cloudpickle="__version__ = '9.0'\n")
    with environment_for(manifest(made)) as environment:
        program = f"import sys; sys.path.insert(0, {environment.command[-1]!r}); import cloudpickle; print(cloudpickle.__version__)"
        assert told(environment, program) == "9.0"


def test_a_package_that_would_replace_what_is_the_environments_is_refused(index):
    """No wheel puts another Python, or another pyvenv.cfg, into the environment."""
    data = {"ours-1.data/data/pyvenv.cfg": "home = /nowhere\n"}
    made = wheel(index, "ours", files=data)
    with (
        pytest.raises(RequirementsError, match=r"pyvenv\.cfg|would replace"),
        environment_for(manifest(made)),
    ):
        pass


def test_an_edited_cache_of_uvs_is_noticed(index, tmp_path):
    """What uv copies is compared with what the wheel says: somebody may have edited uv's cache."""
    made = wheel(index, "ours")
    with environment_for(manifest(made)):
        pass
    (cached,) = (tmp_path / "uv").rglob("ours.py")
    cached.write_text("EDITED = 1\n")
    another = wheel(index, "another")
    with (
        pytest.raises(RequirementsError, match=r"ours\.py of ours is not what the RECORD.*uv cache clean ours"),
        environment_for(manifest(made, another)),
    ):
        pass

"""Sealed flows that bring the user's own projects as wheels, and the environments that run them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from base_making import layout
from distributed import LocalCluster
from image_files import files_of
from own_venv import Venv
from project_making import project

from prefect import Flow, task
from prefect.engine.executors import DaskExecutor
from prefect.engine.executors.base import ARCHIVES
from prefect.environments import PickleEnvironment
from prefect.errors import CompatibilityError
from prefect.running.own_wheels import importable_wheels

KEY = PickleEnvironment().encryption_key
ETL = """
import ownlib
from ownlib.deep import answer
from prefect import Flow, task

@task
def use():
    import ownlib.late
    from importlib import metadata, resources
    table = (resources.files(ownlib) / "table.csv").read_text()
    points = [p.value for p in metadata.entry_points(group="console_scripts", name="ownlib-say")]
    print("answer", answer(), ownlib.late.LATE, table.split(), metadata.version("ownlib"), points)
    print("from", ownlib.__file__)

with Flow("own") as flow:
    use()
"""


@pytest.fixture
def source(tmp_path):
    """A project whose modules cannot travel by value."""
    made = project(
        tmp_path / "ownlib", backend="hatchling", code="import threading\nLOCK = threading.Lock()\n"
    )
    (made / "src" / "ownlib" / "late.py").write_text("LATE = 'late'\n")
    (made / "src" / "ownlib" / "deep.py").write_text(
        "from ownlib import LOCK\ndef answer():\n    with LOCK:\n        return 42\n"
    )
    return made


@pytest.fixture
def build(source, tmp_path):
    """Seal etl.flow in ./work, with the project installed in one way or another."""
    venv = Venv(tmp_path / "venv")
    (work := tmp_path / "work").mkdir()
    (work / "etl.py").write_text(ETL)
    (work / "flow.key").write_text(KEY)

    def call(*install, status=0, arguments=(), **environment):
        venv.install(*install)
        command = ("-m", "prefect", "build", "etl.py", "-o", "etl.flow", "--key-file", "flow.key")
        return venv(*command, *arguments, cwd=work, status=status, **environment)

    call.venv, call.work = venv, work
    return call


def run(work: Path, python=sys.executable, *arguments, status=0) -> str:
    """Run etl.flow in an interpreter; return all that it tells."""
    command = [str(python), "-m", "prefect", "run", "etl.flow", "--key-file", "flow.key"]
    done = subprocess.run(
        [*command, *arguments], cwd=work, env=os.environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_an_editable_install_runs_where_it_is_not_installed(build, source):
    """With its data, its late imports, its metadata and entry points; nothing of it stays behind."""
    build("-e", source)
    source.rename(source.with_name("gone"))
    told = run(build.work)
    assert "answer 42 late ['a,b', '1,2'] 1.0 ['ownlib:say']" in told
    place = Path(told.partition("from ")[2].splitlines()[0])
    assert "prefect-wheels" in str(place)
    assert not place.exists()
    environment = PickleEnvironment(KEY)
    state = environment.run(build.work / "etl.flow")
    assert state.is_successful()
    assert not any("prefect-wheels" in path for path in sys.path)
    assert "ownlib" not in sys.modules
    manifest = environment.manifest(build.work / "etl.flow")
    assert manifest.requirements == {"ownlib": "ownlib==1.0"}
    (name,) = manifest.wheels
    told, _ = build.venv(
        "-m", "prefect", "info", "etl.flow", "--key-file", "flow.key", cwd=build.work
    )
    assert name in told
    assert b"LOCK" not in environment.open(build.work / "etl.flow")[1]


def test_what_is_installed_here_the_same_is_taken_from_here(build, source, tmp_path):
    """By version and content; what differs is not."""
    build("-e", source)
    other = Venv(tmp_path / "other")
    other.install(source)
    assert str(other.site) in run(build.work, other.python)
    late = source / "src" / "ownlib" / "late.py"
    late.write_text("LATE = 'later'\n")
    other.install("--reinstall", source)
    told = run(build.work, other.python)
    assert "answer 42 late " in told
    assert str(other.site) not in told


def test_a_wheel_that_is_installed_travels_as_it_was(build, source):
    """From a directory, by its RECORD, whatever its sources are by now."""
    build(source)
    (source / "src" / "ownlib" / "late.py").write_text("LATE = 'changed'\n")
    assert "answer 42 late " in run(build.work)


def test_wheels_of_a_sealed_flow_are_searched(build, source):
    """A secret's value in a file of one is refused, and a token told."""
    late = source / "src" / "ownlib" / "late.py"
    late.write_text("LATE = 'hunter-two-and-three'\n")
    secret = {"arguments": ("--secret", "PASS"), "PASS": "hunter-two-and-three"}
    _, err = build("-e", source, status=2, **secret)
    assert "The value of the secret PASS occurs in the file ownlib-1.0-py" in err
    assert not (build.work / "etl.flow").exists()
    late.write_text(f"LATE = 'ghp_{'a1B2c3D4e5' * 3}a1B2c3'\n")
    _, err = build("-e", source)
    assert "a GitHub token" in err


def test_what_a_requirement_names_travels_too(build, source):
    """A directory by -r, without being installed; the lock has its hash and what it needs, no path."""
    other = project(source.parent / "other", "otherlib", needs=("six",))
    build("-e", source, arguments=("-r", str(other), "--lock", "etl.lock"))
    manifest = PickleEnvironment(KEY).manifest(build.work / "etl.flow")
    assert [name.partition("-")[0] for name in manifest.wheels] == ["otherlib", "ownlib"]
    assert {one.name for one in manifest.locked()} >= {"otherlib", "ownlib", "six"}
    assert all(entry["sha256"] in manifest.lock for entry in manifest.wheels.values())
    assert str(source.parent) not in manifest.lock
    lock = (build.work / "etl.lock").read_text()
    assert "six==" in lock
    assert "otherlib" not in lock
    (other / "src" / "otherlib" / "__init__.py").write_text("ANSWER = 43\n")
    build("-e", source, arguments=("-r", str(other), "--lock", "etl.lock"))
    assert PickleEnvironment(KEY).manifest(build.work / "etl.flow").wheels != manifest.wheels


def test_a_wheel_with_machine_code_for_elsewhere_is_refused(build, source, tmp_path):
    """When it is built, for the platforms that are asked for, and when it runs."""
    code = project(tmp_path / "code", "compiledlib", tag="cp311-cp311-linux_x86_64")
    arguments = ("-r", str(code), "--python", "3.11,3.12")
    _, err = build("-e", source, status=2, arguments=arguments)
    assert "is for cp311-cp311-linux_x86_64, and what it is to run on has Python 3.12" in err
    (wheels := tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(wheels / "own-1-cp39-cp39-linux_x86_64.whl", "w") as archive:
        archive.writestr("own-1.dist-info/RECORD", "")
    with (
        pytest.raises(CompatibilityError, match="machine code is not for this Python and machine"),
        importable_wheels(wheels),
    ):
        pass


def test_workers_of_a_cluster_elsewhere_get_what_was_built_for_the_flow(tmp_path):
    """For as long as it runs; what an index has is theirs to have."""
    for name, packing in (("own", zipfile.ZIP_STORED), ("theirs", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(tmp_path / f"{name}-1-py3-none-any.whl", "w", packing) as archive:
            archive.writestr(f"{name}_of_test.py", "ANSWER = 42\n")
            archive.writestr(f"{name}-1.dist-info/RECORD", f"{name}_of_test.py,,\n")

    @task
    def answer(name):
        from importlib import import_module

        try:
            return import_module(name).ANSWER
        except ImportError:
            return None

    with Flow("test") as flow:
        answers = answer.map(["own_of_test", "theirs_of_test"])
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        with importable_wheels(tmp_path):
            state = flow.run(executor=DaskExecutor(cluster.scheduler_address))
        assert state.result[answers].result == [42, None]
    assert ARCHIVES == []


def test_an_image_that_is_sealed_has_own_code_in_what_is_sealed(build, source):
    """Neither its layers nor its lock tell of it, and its requirements are installed."""
    layout(build.work / "base")
    build.venv.install("-e", source)
    command = ("-m", "prefect", "build", "etl.py", "--image", "./base", "--export", "etl.tar")
    build.venv(
        *command, "--key-file", "flow.key", cwd=build.work, DOCKER_HOST="unix:///nowhere.sock"
    )
    files = files_of(build.work / "etl.tar")
    assert not [path for path in files if "ownlib" in path]
    assert "ownlib" not in files["opt/prefect/requirements.lock"].decode()
    (build.work / "etl.flow").write_bytes(files["opt/prefect/flow/sealed.flow"])
    assert "answer 42 late " in run(build.work)

"""`prefect.dependencies.building`: wheels of the user's own projects, with the real uv and index."""

import json
import os
import shutil
import subprocess
import zipfile

import pytest
from project_making import git, project

from prefect.dependencies import building
from prefect.dependencies.building import build_wheel
from prefect.errors import RequirementsError
from prefect.oci.cache.store import Store


@pytest.fixture
def build(tmp_path):
    """Build the wheel of a project, with a store of its own unless it is given one."""
    counter = iter(range(99))

    def call(source, store=None, progress=None):
        number = next(counter)
        (output := tmp_path / f"out-{number}").mkdir()
        if store is not None:
            return build_wheel(source, output, store, progress)
        with Store(tmp_path / f"store-{number}") as own:
            return build_wheel(source, output, own, progress)

    return call


@pytest.mark.parametrize("backend", ["hatchling", "setuptools"])
@pytest.mark.parametrize("layout", ["src", ""])
def test_the_same_files_give_the_same_wheel(build, tmp_path, backend, layout):
    """Whatever their directory, their times, the umask, and what former builds left there."""
    first = project(tmp_path / "first", backend=backend, layout=layout, needs=("six",))
    second = tmp_path / "elsewhere" / "second"
    shutil.copytree(first, second, copy_function=shutil.copyfile)
    (second / "build" / "lib" / "ownlib").mkdir(parents=True)
    (second / "build" / "lib" / "ownlib" / "gone.py").write_text("")
    (second / "ownlib.egg-info").mkdir()
    (second / "ownlib.egg-info" / "SOURCES.txt").write_text("gone.py\n")
    for path in first.rglob("*"):
        os.utime(path, (1e9, 1e9))
    before = sorted(path.relative_to(first) for path in first.rglob("*"))
    mask = os.umask(0o077)
    try:
        made = build(first)
    finally:
        os.umask(mask)
    assert build(second).sha256 == made.sha256
    assert (made.name, made.version, made.requires) == ("ownlib", "1.0", ["six"])
    assert made.pure
    assert made.modules == {"ownlib"}
    with zipfile.ZipFile(made.path) as archive:
        assert archive.read("ownlib/table.csv") == b"a,b\n1,2\n"
        assert archive.testzip() is None
    assert sorted(path.relative_to(first) for path in first.rglob("*")) == before


def test_a_wheel_is_remembered_until_a_file_changes(build, tmp_path):
    """Also where its size and time stay; what no backend takes has no say."""
    source = project(tmp_path / "project")
    with Store(tmp_path / "store") as store:
        told = []
        made = build(source, store, told.append)
        assert told == ["Building the wheel of project, with its own build backend"]
        (source / "src" / "ownlib" / "__pycache__").mkdir()
        (source / "src" / "ownlib" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
        (source / ".venv").mkdir()
        (source / ".venv" / "pyvenv.cfg").write_text("")
        assert build(source, store, told.append).sha256 == made.sha256
        assert len(told) == 1
        module = source / "src" / "ownlib" / "__init__.py"
        times = module.stat()
        module.write_text("ANSWER = 43\n")
        os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert build(source, store, told.append).sha256 != made.sha256
        module.write_text("ANSWER = 42\n")
        assert build(source, store, told.append).sha256 == made.sha256
        assert len(told) == 2


def test_a_backend_gets_no_variable_that_may_hold_a_secret(build, tmp_path, monkeypatch):
    """Neither those of this process nor the credentials of indexes, which uv itself has."""
    monkeypatch.setenv("DB_PASSWORD", "hunter-two")
    monkeypatch.setenv("UV_INDEX_OWN_PASSWORD", "hunter-two")
    monkeypatch.setenv("UV_INDEX", "own=http://me:hunter-two@127.0.0.1:9/simple")
    build(project(tmp_path / "project", told=tmp_path / "told"))
    told = json.loads((tmp_path / "told").read_text())
    assert "hunter-two" not in str(told)
    assert told["SOURCE_DATE_EPOCH"]


def test_what_a_backend_says_is_in_the_error(build, tmp_path):
    """And nothing of it is remembered."""
    source = project(tmp_path / "project")
    (source / "backend.py").write_text(
        "def build_wheel(*a): raise SystemExit('no, says the backend')"
    )
    with pytest.raises(RequirementsError, match="no, says the backend"):
        build(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequirementsError, match="is no Python project"):
        build(tmp_path / "empty")


def test_a_project_may_need_what_stands_beside_it(build, tmp_path):
    """Then it is built where it is."""
    source = project(tmp_path / "repository" / "project")
    (tmp_path / "repository" / "beside.txt").write_text("here")
    backend = (source / "backend.py").read_text()
    (source / "backend.py").write_text(f"open('../beside.txt').close()\n{backend}")
    sdist = "\ndef build_sdist(directory, config_settings=None):\n    import tarfile, pathlib\n"
    sdist += "    with tarfile.open(pathlib.Path(directory, 'ownlib-1.0.tar.gz'), 'w:gz') as a:\n"
    sdist += "        a.add('.', 'ownlib-1.0')\n    return 'ownlib-1.0.tar.gz'\n"
    (source / "backend.py").write_text((source / "backend.py").read_text() + sdist)
    with pytest.raises(RequirementsError, match=r"beside\.txt"):
        build(source)  # nor does its source distribution have it
    (source / "backend.py").write_text(
        "import os\nassert os.path.exists('../beside.txt') or os.path.exists('PKG-INFO')\n"
        + backend + sdist.replace("a.add('.', 'ownlib-1.0')", "open('PKG-INFO', 'w').close(); a.add('.', 'ownlib-1.0')")
    )  # fmt: skip
    assert build(source).name == "ownlib"


def test_a_version_out_of_git_is_the_wheels_version(build, tmp_path):
    """It follows from the tags, and a new tag makes another wheel."""
    source = project(tmp_path / "project", backend="setuptools")
    text = (source / "pyproject.toml").read_text()
    text = text.replace('version = "1.0"', 'dynamic = ["version"]').replace(
        '"setuptools>=64"', '"setuptools>=64", "setuptools-scm>=8"'
    )
    (source / "pyproject.toml").write_text(text + "[tool.setuptools_scm]\n")
    (source / ".gitignore").write_text("*.egg-info\n")
    git(source, "init", "-q")
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "one")
    git(source, "tag", "v2.5")
    with Store(tmp_path / "store") as store:
        made = build(source, store)
        assert made.version == "2.5"
        git(source, "tag", "-d", "v2.5")
        git(source, "tag", "v2.6")
        assert build(source, store).version == "2.6"


def test_an_unchanged_project_runs_no_program(build, tmp_path, monkeypatch):
    """A second build costs a look at its files."""
    source = project(tmp_path / "project")
    with Store(tmp_path / "store") as store:
        build(source, store)
        monkeypatch.setattr(building.subprocess, "run", None)
        build(source, store)


def test_a_source_distribution_is_built_too(build, tmp_path):
    """As a directory is."""
    source = project(tmp_path / "project", backend="hatchling")
    command = [
        building.uv_program(),
        "build",
        "--sdist",
        "-q",
        "-o",
        str(tmp_path / "dist"),
        str(source),
    ]
    subprocess.run(command, check=True)
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    assert build(sdist).modules == {"ownlib"}

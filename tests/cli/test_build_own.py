"""`prefect build --image` with the user's own projects, on a base made by hand."""

import json
import shutil
import subprocess

import pytest
from base_making import layout
from image_files import SITE, files_of
from project_making import project

from prefect.dependencies.uv import uv_program


@pytest.fixture
def offline(prefect, monkeypatch):
    """The command, no container engine, and a base in ./base."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    layout(prefect.directory / "base")
    return prefect


def build(prefect, *arguments, **options):
    command = ("build", "etl.py", "--image", "./base", *arguments)
    return prefect(*command, "--export", "etl.tar", **options)


@pytest.mark.parametrize("form", [".", "./ownlib", "wheel", "file", "freeze"])
def test_an_image_gets_a_project_that_is_named_by_a_path(offline, form):
    """A directory, a wheel, and the lines of a requirements file, relative to it."""
    directory = offline.directory
    project(directory / "ownlib", needs=("iniconfig",))
    argument = form
    if form == ".":
        for path in (directory / "ownlib").iterdir():
            shutil.move(path, directory / path.name)
    elif form == "wheel":
        command = [uv_program(), "build", "-q", "--wheel", "-o", "dist", "ownlib"]
        subprocess.run(command, cwd=directory, check=True)
        argument = "dist/ownlib-1.0-py3-none-any.whl"
    elif form == "file":
        (directory / "needs").mkdir()
        (directory / "needs" / "more.txt").write_text("-e ../ownlib  # mine\n")
        (directory / "needs" / "all.txt").write_text("-r more.txt\niniconfig>=1\n")
        argument = "needs/all.txt"
    elif form == "freeze":
        (directory / "all.txt").write_text(
            "# Editable install with no version control (ownlib==1.0)\n"
            f"-e {directory / 'ownlib'}\nownlib @ {(directory / 'ownlib').as_uri()}\n"
        )
        argument = "all.txt"
    build(offline, "-r", argument)
    files = files_of(directory / "etl.tar")
    assert files[f"{SITE}/ownlib/__init__.py"] == b"ANSWER = 42\n"
    assert files[f"{SITE}/ownlib/table.csv"] == b"a,b\n1,2\n"
    assert f"{SITE}/iniconfig/__init__.py" in files
    lock = files["opt/prefect/requirements.lock"].decode()
    assert "ownlib==1.0" in lock
    assert str(directory) not in lock + files["opt/prefect/flow/manifest.json"].decode()


def test_an_images_digest_does_not_tell_where_a_project_lies(offline):
    """Nor when it was written; it tells of each change."""
    directory = offline.directory
    project(directory / "ownlib")
    first = build(offline, "-r", "./ownlib", PYTHONHASHSEED="7")[0]
    shutil.copytree(directory / "ownlib", directory / "other" / "copy")
    second = build(
        offline, "-r", "other/copy", PYTHONHASHSEED="7", XDG_CACHE_HOME=str(directory / "x")
    )[0]
    assert second == first
    (directory / "ownlib" / "src" / "ownlib" / "__init__.py").write_text("ANSWER = 43\n")
    assert build(offline, "-r", "./ownlib", PYTHONHASHSEED="7")[0] != first


def test_own_code_changes_and_the_lock_stays(offline):
    """A file of locked dependencies says nothing of it; what it needs in turn has to be there."""
    directory = offline.directory
    project(directory / "ownlib", needs=("iniconfig",))
    arguments = ("-r", "./ownlib", "--lock", "etl.lock")
    build(offline, *arguments)
    lock = (directory / "etl.lock").read_text()
    assert "iniconfig==" in lock
    assert "ownlib" not in lock
    (directory / "ownlib" / "src" / "ownlib" / "__init__.py").write_text("ANSWER = 43\n")
    build(offline, *arguments)
    files = files_of(directory / "etl.tar")
    assert files[f"{SITE}/ownlib/__init__.py"] == b"ANSWER = 43\n"
    assert "ownlib==1.0" in files["opt/prefect/requirements.lock"].decode()
    (directory / "etl.lock").write_text(f"{lock}ownlib==0.9 --hash=sha256:{'0' * 64}\n")
    build(offline, *arguments)
    assert f"{SITE}/ownlib-1.0.dist-info/METADATA" in files_of(directory / "etl.tar")
    shutil.rmtree(directory / "ownlib")
    project(directory / "ownlib", needs=("iniconfig", "six>=1"))
    err = build(offline, *arguments, status=2)[1]
    assert "it lacks six" in err
    assert "--relock" in err
    build(offline, *arguments, "--relock")
    assert "six==" in (directory / "etl.lock").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-r", "./ownlb"], "there is no ownlb; there is ownlib"),
        (["-r", "need.txt"], "There is no requirements file need.txt; there is needs.txt"),
        (["-r", "./base"], "is no Python project"),
        (["-r", "indexes.txt"], "UV_INDEX"),
        (["-r", "./ownlib", "-r", "./other"], "is asked for twice"),
        (["-r", "./compiled"], "is for cp39-cp39-linux_x86_64, and what it is to run on has Python 3.11"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_along_is_said(offline, arguments, says):
    """With exit status 2, the cause, and what there is of such a name."""
    directory = offline.directory
    project(directory / "ownlib")
    project(directory / "other", code="ANSWER = 1\n")
    project(directory / "compiled", tag="cp39-cp39-linux_x86_64")
    (directory / "needs.txt").write_text("six\n")
    (directory / "indexes.txt").write_text("--index-url https://me:pass@host.invalid/simple\n")
    _, err = build(offline, *arguments, status=2)
    assert says in err
    assert "me:pass" not in err


def test_a_flows_own_environment_names_projects_too(offline):
    """Its lines are relative to the working directory, and no path of them travels."""
    directory = offline.directory
    project(directory / "ownlib")
    (directory / "own.py").write_text(
        "from prefect import Flow\nfrom prefect.environments import ContainerEnvironment\n"
        "flow = Flow('own', environment=ContainerEnvironment('./base', python_dependencies=['./ownlib', 'six']))\n"
    )
    offline("build", "own.py", "--export", "etl.tar")
    files = files_of(directory / "etl.tar")
    assert f"{SITE}/ownlib/__init__.py" in files
    manifest = json.loads(files["opt/prefect/flow/manifest.json"])
    assert manifest["flow"]["environment"]["python_dependencies"] == ["six"]

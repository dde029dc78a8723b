"""`prefect build --image` of flows that import the user's own installed projects."""

import json

import pytest
from base_making import layout
from image_files import SITE, files_of
from own_venv import Venv
from project_making import project

FLOW = """
import threading
import ownlib, beside
from ownlib.deep import answer
from prefect import Flow, task

@task
def use():
    import ownlib.late
    from importlib import metadata, resources
    table = (resources.files(ownlib) / "table.csv").read_text()
    print("answer", answer(), ownlib.late.LATE, beside.HELP, table.split(), metadata.version("ownlib"))

with Flow("own") as flow:
    use()
"""


def own_project(directory, backend="hatchling", layout="src", **options):
    """A project whose modules cannot travel by value."""
    made = project(
        directory, backend=backend, layout=layout,
        code="import threading\nLOCK = threading.Lock()\n", **options,
    )  # fmt: skip
    package = made / layout / "ownlib" if layout else made / "ownlib"
    (package / "late.py").write_text("LATE = 'late'\n")
    (package / "deep.py").write_text(
        "from ownlib import LOCK\ndef answer():\n    with LOCK:\n        return 42\n"
    )
    return made


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """A directory with a flow, its helper and a base; no container engine."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    (directory := tmp_path / "work").mkdir()
    layout(directory / "base")
    (directory / "etl.py").write_text(FLOW)
    (directory / "beside.py").write_text("HELP = 'help'\n")
    return directory


def export(venv, directory, *arguments, **options):
    command = ("-m", "prefect", "build", "etl.py", "--image", "./base", "--export", "etl.tar")
    return venv(*command, *arguments, cwd=directory, **options)


@pytest.mark.parametrize(("backend", "layout"), [("hatchling", "src"), ("setuptools", "")])
def test_an_editable_install_travels_as_its_wheel(offline, tmp_path, backend, layout):
    """With its data, its metadata and what is only imported late; the helper travels by value."""
    venv = Venv(tmp_path / "venv")
    venv.install("-e", own_project(tmp_path / "ownlib", backend, layout))
    _, err = export(venv, offline)
    assert "table.csv" not in err  # which travels, though not with the flow's own files
    files = files_of(offline / "etl.tar")
    assert f"{SITE}/ownlib/table.csv" in files
    assert f"{SITE}/ownlib/late.py" in files
    assert b"LOCK" not in files["opt/prefect/flow/payload.pickle"]
    assert b"HELP" in files["opt/prefect/flow/payload.pickle"]
    manifest = json.loads(files["opt/prefect/flow/manifest.json"])
    assert manifest["requirements"] == {"ownlib": "ownlib==1.0"}
    (wheel,) = manifest["wheels"]
    assert wheel.startswith("ownlib-1.0-py")
    assert "ownlib==1.0" in files["opt/prefect/requirements.lock"].decode()
    told, _ = venv("-m", "prefect", "info", "etl.tar", cwd=offline)
    assert wheel in told
    again, _ = export(venv, offline)
    assert again


def test_what_lies_in_a_projects_directory_alone_travels_by_value(tmp_path, monkeypatch, offline):
    """A flow in the directory of an editable install, with its helper; also where it is imported late."""
    root = own_project(tmp_path / "ownlib", layout="")
    venv = Venv(root / ".venv")
    venv.install("-e", root)
    for name in ("etl.py", "beside.py", "base"):
        (offline / name).rename(root / name)
    export(venv, root, "-r", "iniconfig")
    files = files_of(root / "etl.tar")
    assert b"HELP" in files["opt/prefect/flow/payload.pickle"]
    assert f"{SITE}/ownlib/deep.py" in files
    assert f"{SITE}/iniconfig/__init__.py" in files
    assert f"{SITE}/beside.py" not in files


def test_the_closure_of_what_a_flow_imports_comes_along(offline, tmp_path):
    """What an own project needs in turn, as it is installed here, from wherever."""
    venv = Venv(tmp_path / "venv")
    inner = project(tmp_path / "inner", "ownlib_inner", backend="hatchling")
    venv.install("-e", own_project(tmp_path / "ownlib", needs=("ownlib-inner>=1", "iniconfig")))
    venv.install(inner)
    export(venv, offline)
    files = files_of(offline / "etl.tar")
    assert f"{SITE}/ownlib_inner/__init__.py" in files
    assert f"{SITE}/iniconfig/__init__.py" in files
    (venv.site / "ownlib_inner-1.0.dist-info" / "direct_url.json").unlink()
    _, err = export(venv, offline)
    assert (
        "Taking ownlib-inner 1.0 from what is installed here: no index that uv asks has it" in err
    )
    assert f"{SITE}/ownlib_inner/__init__.py" in files_of(offline / "etl.tar")


def test_an_own_projects_files_are_searched(offline, tmp_path):
    """A secret's value, or a token, in one of them is refused, with its name."""
    venv = Venv(tmp_path / "venv")
    source = own_project(tmp_path / "ownlib")
    venv.install("-e", source)
    late = source / "src" / "ownlib" / "late.py"
    late.write_text("LATE = 'hunter-two-and-three'\n")
    _, err = export(venv, offline, "--secret", "PASS", status=2, PASS="hunter-two-and-three")
    assert "The value of the secret PASS occurs in the file ownlib-1.0-py" in err
    assert "/ownlib/late.py" in err
    late.write_text(f"LATE = 'ghp_{'a1B2c3D4e5' * 3}a1B2c3'\n")
    _, err = export(venv, offline, status=2)
    assert "a GitHub token" in err
    assert "ownlib/late.py" in err


def test_run_of_a_file_builds_nothing(offline, tmp_path):
    """It runs what is imported here."""
    venv = Venv(tmp_path / "venv")
    venv.install("-e", own_project(tmp_path / "ownlib"))
    out, err = venv("-m", "prefect", "run", "etl.py", cwd=offline)
    assert "answer 42 late help" in out + err
    assert "Building" not in out + err

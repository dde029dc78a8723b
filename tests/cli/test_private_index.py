"""`prefect build` with what a private index has: by uv's own variables, whose credentials stay here."""

import json

import pytest
from base_making import layout
from image_files import SITE, files_of
from private_index import PASSWORD, USER, private_index
from project_making import project

from prefect.dependencies.building import build_wheel
from prefect.oci.cache.store import Store

BACKEND = """
[build-system]
requires = ["private-backend"]
build-backend = "private_backend"
"""


@pytest.fixture
def offline(prefect, monkeypatch):
    """The command, no container engine, a base in ./base, and a cache of its own."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(prefect.directory / "cache"))
    layout(prefect.directory / "base")
    return prefect


@pytest.fixture
def wheels(tmp_path_factory):
    """Wheels that no other index has: a library, and a build backend that tells its variables."""
    directory = tmp_path_factory.mktemp("wheels")
    library = project(directory / "src-1", "private_lib", needs=("iniconfig",))
    backend = project(directory / "src-2", "private_backend")
    code = (backend / "backend.py").read_text()
    (backend / "src" / "private_backend" / "__init__.py").write_text(code)
    with Store(directory / "store") as store:
        for one in (library, backend):
            build_wheel(one, directory, store)
    return directory


def settings(way, host, directory):
    """Return the variables that say where the index is and who asks, in one of uv's ways."""
    if way == "address":
        return {"UV_INDEX": f"http://{USER}:{PASSWORD}@{host}/simple"}
    if way == "variables":
        return {
            "UV_INDEX": f"own=http://{host}/simple",
            "UV_INDEX_OWN_USERNAME": USER,
            "UV_INDEX_OWN_PASSWORD": PASSWORD,
        }
    (directory / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    return {"UV_INDEX": f"http://{host}/simple", "NETRC": str(directory / "netrc")}


@pytest.mark.parametrize("way", ["address", "variables", "netrc"])
def test_a_private_index_is_asked_as_uv_is_told(offline, wheels, tmp_path, way):
    """For what a flow needs and for a project's own backend; its password comes to rest nowhere."""
    told = tmp_path / "told"
    own = project(offline.directory / "ownlib", needs=("private-lib",), told=told)
    (own / "pyproject.toml").write_text(BACKEND)
    (own / "backend.py").unlink()
    with private_index(wheels) as host:
        variables = settings(way, host, tmp_path)
        arguments = ("-r", "./ownlib", "--lock", "etl.lock", "--export", "etl.tar")
        out, err = offline("build", "etl.py", "--image", "./base", *arguments, **variables)
        sealed = ("-o", "etl.flow", "-r", "./ownlib")
        offline("keygen", "flow.key")
        more, told_too = offline("build", "etl.py", *sealed, "--key-file", "flow.key", **variables)
    files = files_of(offline.directory / "etl.tar")
    assert f"{SITE}/private_lib/__init__.py" in files
    assert f"{SITE}/ownlib/__init__.py" in files
    assert not [path for path, data in files.items() if PASSWORD.encode() in data]
    shown = json.loads(offline("info", "etl.flow", "--json", "--key-file", "flow.key")[0])
    assert "private-lib" in shown["lock"]
    assert PASSWORD not in out + err + more + told_too + str(shown) + told.read_text()
    kept = [offline.directory / "etl.lock", *(offline.directory / "cache" / "prefect").rglob("*")]
    assert not [path for path in kept if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_a_directory_of_wheels_is_asked_as_uv_is_told(offline, wheels):
    """By UV_FIND_LINKS."""
    arguments = ("-r", "private-lib", "--export", "etl.tar")
    offline("build", "etl.py", "--image", "./base", *arguments, UV_FIND_LINKS=str(wheels))
    files = files_of(offline.directory / "etl.tar")
    assert f"{SITE}/private_lib/__init__.py" in files

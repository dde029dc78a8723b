"""`prefect.dependencies.own`: requirement lines that name what is here, and what is installed from it."""

import base64
import hashlib
import json
import subprocess
import sys
import zipfile

import pytest
from project_making import git, project

from prefect.dependencies.building import build_wheel
from prefect.dependencies.fitting import require_fit, require_fit_target
from prefect.dependencies.lock import lock, read_lock
from prefect.dependencies.own import OwnWheels, anchored, own_line
from prefect.dependencies.resolving import UnknownDistributionError
from prefect.dependencies.uv import uv_program
from prefect.dependencies.wheels import read_wheel
from prefect.errors import RequirementsError
from prefect.oci.cache.store import Store
from prefect.pylock import Target

GLIBC = {"python": "3.11", "platform": "x86_64-manylinux_2_36"}


@pytest.fixture
def store(tmp_path):
    """A store of the test's own."""
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Install with uv into a directory that this interpreter then imports from."""
    directory = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(directory)

    def install(*what):
        command = [uv_program(), "pip", "install", "-q", "--no-deps", "--python", sys.executable]
        subprocess.run([*command, "--target", str(directory), *map(str, what)], check=True)
        return directory

    return install


@pytest.mark.parametrize(
    ("line", "name", "path", "extras", "marker"),
    [
        (".", "", ".", "", ""),
        ("-e .", "", ".", "", ""),
        ("--editable=./pkg", "", "pkg", "", ""),
        ("./pkg[a,b] ; python_version > '3'", "", "pkg", "[a,b]", "python_version > '3'"),
        ("dist/x-1-py3-none-any.whl", "", "dist/x-1-py3-none-any.whl", "", ""),
        ("x-1-py3-none-any.whl", "", "x-1-py3-none-any.whl", "", ""),
        ("own.lib @ file:///a%20b/x", "own-lib", "/a b/x", "", ""),
        ("own[x]@file:///a/b", "own", "/a/b", "[x]", ""),
        ("file:///a/b", "", "/a/b", "", ""),
        ("-e git+https://u:p@h/x.git@abc#egg=own", "own", None, "", ""),
        ("own @ git+https://h/x@abc ; os_name == 'nt'", "own", None, "", "os_name == 'nt'"),
    ],
)
def test_what_a_line_names(line, name, path, extras, marker):
    """Paths and addresses, as pip and uv write them and as `pip freeze` does."""
    own = own_line(line)
    assert (own.name, None if own.path is None else str(own.path)) == (name, path)
    assert (own.extras, own.marker) == (extras, marker)


@pytest.mark.parametrize(
    "line",
    [
        "pandas>=2",
        "pandas[a,b]>=2,<3 ; python_version > '3'",
        "six",
        "-c x.txt",
        "six==1 --hash=sha256:aa",
    ],
)
def test_a_line_by_name_names_no_path(line):
    """It is what an index has."""
    assert own_line(line) is None


def test_a_path_is_one_from_its_file_or_else_from_here(tmp_path):
    """And stays the same in whatever directory the build is."""
    (tmp_path / "a" / "pkg").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    places = tmp_path / "b", tmp_path / "a"
    assert anchored("-e ./pkg", *places) == str(tmp_path / "a" / "pkg")
    assert anchored("own[x] @ ./gone ; os_name == 'nt'", *places) == (
        f"own[x] @ {tmp_path / 'b' / 'gone'} ; os_name == 'nt'"
    )
    assert anchored("six", *places) == "six"


def test_what_lines_name_is_taken_along(tmp_path, store):
    """A project's directory, and a wheel as it is; each becomes a line by its version."""
    first = project(tmp_path / "first", "first", needs=("second",))
    second = project(tmp_path / "second", "second", version="2.1")
    (tmp_path / "dist").mkdir()
    wheel = build_wheel(second, tmp_path / "dist", store)
    own = OwnWheels(store)
    assert own.take([f"-e {first}", f"second @ {wheel.path.as_uri()}", "six"]) == [
        "first==1.0", "second==2.1", "six",
    ]  # fmt: skip
    assert [one.line for one in own.wheels] == ["first==1.0", "second==2.1"]
    assert own["second"].path == wheel.path


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("./projct", r"There is no projct; there is project"),
        ("./no/where", r"There is no no/where: neither is no"),
        ("other @ ./project", "leads to ownlib, and not to other"),
        ("other @ git+https://u:hunter@127.0.0.1/x", "is not installed here from there"),
        ("./notes.txt", "is no package"),
        ("./bad-1-py3-none-any.whl", "not a wheel that can be read"),
    ],
)
def test_what_cannot_be_taken_along_is_said(tmp_path, store, monkeypatch, line, problem):
    """With what there is instead, and without a password."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path / "project")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "bad-1-py3-none-any.whl").write_bytes(b"PK\xff")
    with pytest.raises(RequirementsError, match=problem) as caught:
        OwnWheels(store).take([line])
    assert "hunter" not in str(caught.value)


def test_an_editable_install_is_built_from_its_directory(tmp_path, store, site):
    """As it is now; also where `pip freeze` names it by the address of its checkout."""
    source = project(tmp_path / "checkout", backend="hatchling")
    git(source, "init", "-q")
    site("-e", source)
    (source / "src" / "ownlib" / "later.py").write_text("")
    for lines in (
        ["-e git+https://host.invalid/x.git@abc#egg=ownlib"],
        ["ownlib"],
        [f"-e {source}"],
    ):
        own = OwnWheels(store)
        own.take(lines)
        assert own["ownlib"].modules == {"ownlib", "ownlib.later"}
    own = OwnWheels(store)
    own.take(["ownlib>=2"])  # another one than is here
    own.take_installed(["six"])
    assert own.wheels == []
    own.take_installed(["ownlib", "six"])
    assert [one.name for one in own.wheels] == ["ownlib"]


def test_what_is_installed_from_a_directory_is_put_together_again(tmp_path, store, site):
    """As it is installed, whatever has become of its directory; checked by its RECORD."""
    source = project(tmp_path / "project", backend="hatchling")
    (tmp_path / "dist").mkdir()
    original = build_wheel(source, tmp_path / "dist", store)
    directory = site(source)
    (source / "src" / "ownlib" / "__init__.py").write_text("ANSWER = 'changed'\n")
    own = OwnWheels(store)
    own.take_installed(["ownlib"])
    with zipfile.ZipFile(own["ownlib"].path) as again, zipfile.ZipFile(original.path) as first:
        assert again.namelist() == first.namelist()
        assert again.read("ownlib/__init__.py") == first.read("ownlib/__init__.py")
    assert own["ownlib"].sha256 == original.sha256
    (directory / "ownlib" / "__init__.py").unlink()
    (directory / "ownlib" / "__init__.py").write_text("ANSWER = 'edited'\n")
    with pytest.raises(RequirementsError, match="changed after it was installed"):
        OwnWheels(store).take_installed(["ownlib"])


def test_what_conda_installs_is_of_no_project_here(tmp_path, store, site):
    """Its direct_url.json is about the machine of those who made the package."""
    directory = site(project(tmp_path / "project", backend="hatchling"))
    (directory / "ownlib-1.0.dist-info" / "INSTALLER").write_text("conda\n")
    own = OwnWheels(store)
    own.take_installed(["ownlib"])
    assert own.wheels == []


def test_what_no_index_has_is_taken_from_here(tmp_path, store, site):
    """Without a direct_url.json as well; the resolver's error says of what."""
    source = project(
        tmp_path / "project", "prefect-test-unheard-of".replace("-", "_"), backend="hatchling"
    )
    directory = site(source)
    (directory / "prefect_test_unheard_of-1.0.dist-info" / "direct_url.json").unlink()
    with pytest.raises(UnknownDistributionError) as caught:
        lock(["prefect-test-unheard-of==1.0"], **GLIBC)
    told = []
    own = OwnWheels(store, told.append)
    assert own.take_unknown(caught.value.names)
    assert told == [
        "Taking prefect-test-unheard-of 1.0 from what is installed here: no index that uv asks has it"
    ]
    assert not own.take_unknown(caught.value.names)
    text = lock(["prefect-test-unheard-of==1.0"], **GLIBC, wheels=own.wheels)
    assert own.wheels[0].sha256 in text


def test_a_lock_has_own_wheels_by_hash_and_what_they_need(tmp_path, store):
    """Without a path; another content of the same version needs no resolver, and has its own hash."""
    source = project(tmp_path / "project", needs=("six", "idna ; extra == 'more'"))
    own = OwnWheels(store)
    lines = own.take([f"{source}[more]"])
    text = lock(lines, **GLIBC, store=store, wheels=own.wheels)
    assert {one.name for one in read_lock(text)} >= {"ownlib", "six"}
    assert f"--hash=sha256:{own['ownlib'].sha256}" in text
    assert str(tmp_path) not in text
    assert "ownlib[more]==1.0" in text
    (source / "src" / "ownlib" / "__init__.py").write_text("ANSWER = 43\n")
    changed = OwnWheels(store)
    lines = changed.take([f"{source}[more]"])
    again = lock(lines, **GLIBC, store=store, wheels=changed.wheels)
    assert again == text.replace(own["ownlib"].sha256, changed["ownlib"].sha256)
    assert again != text


def test_an_index_is_not_asked_for_what_is_ones_own(tmp_path, store):
    """A public package of the same name is another one, however new it is."""
    source = project(tmp_path / "project", "six", version="0.1")
    own = OwnWheels(store)
    text = lock(own.take([str(source)]), **GLIBC, wheels=own.wheels)
    assert text == f"six==0.1 \\\n    --hash=sha256:{own['six'].sha256}\n"


@pytest.mark.parametrize(
    ("tag", "python", "platform", "fits"),
    [
        ("py3-none-any", "3.12", "aarch64-unknown-linux-musl", True),
        ("py2.py3-none-any", "3.11", "x86_64-manylinux_2_36", True),
        ("py313-none-any", "3.11", "x86_64-manylinux_2_36", False),
        ("cp311-cp311-linux_x86_64", "3.11", "x86_64-manylinux_2_36", True),
        ("cp311-cp311-linux_x86_64", "3.12", "x86_64-manylinux_2_36", False),
        ("cp311-cp311-linux_x86_64", "3.11", "aarch64-manylinux_2_36", False),
        ("cp311-cp311-manylinux_2_28_x86_64", "3.11", "x86_64-manylinux_2_36", True),
        ("cp311-cp311-manylinux_2_39_x86_64", "3.11", "x86_64-manylinux_2_36", False),
        ("cp38-abi3-manylinux2014_x86_64", "3.13", "x86_64-manylinux_2_17", True),
        ("cp311-cp311-manylinux2014_x86_64", "3.11", "x86_64-unknown-linux-musl", False),
        ("cp311-cp311-musllinux_1_2_x86_64", "3.11", "x86_64-unknown-linux-musl", True),
    ],
)
def test_a_wheel_for_another_platform_is_refused(tmp_path, tag, python, platform, fits):
    """The error says for which it is, and what to do."""
    path = tmp_path / f"own-1-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "own-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: own\nVersion: 1\n"
        )
        interpreters, abi, kind = tag.split("-")
        tags = [f"Tag: {one}-{abi}-{kind}" for one in interpreters.split(".")]
        archive.writestr("own-1.dist-info/WHEEL", "\n".join(["Wheel-Version: 1.0", *tags, ""]))
    wheel = read_wheel(path)
    if fits:
        require_fit(wheel, python, platform)
    else:
        with pytest.raises(
            RequirementsError, match=r"is for .*, and what it is to run on .* -r PATH/own"
        ):
            require_fit(wheel, python, platform)


def test_machine_code_for_a_newer_c_library_is_refused(tmp_path):
    """What was built here says by its symbols which it needs."""
    path = tmp_path / "own-1-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "own-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: own\nVersion: 1\n"
        )
        archive.writestr("own-1.dist-info/WHEEL", "Tag: cp311-cp311-linux_x86_64\n")
        archive.writestr("own.cpython-311-x86_64-linux-gnu.so", b"\0GLIBC_2.4\0GLIBC_2.34\0")
    require_fit(read_wheel(path), "3.11", "x86_64-manylinux_2_36")
    for platform in ("x86_64-manylinux_2_31", "x86_64-unknown-linux-musl"):
        with pytest.raises(RequirementsError, match=r"needs glibc 2\.34"):
            require_fit(read_wheel(path), "3.11", platform)


def test_direct_urls_are_plain_data(tmp_path, site):
    """What is installed editably, and what is not, with its directory."""
    from prefect.direct_urls import direct_urls

    source = project(tmp_path / "project", backend="hatchling")
    directory = site("-e", source)
    found = direct_urls()["ownlib"]
    assert (found.version, found.directory, found.editable) == ("1.0", source, True)
    (directory / "ownlib-1.0.dist-info" / "direct_url.json").write_text(json.dumps({"url": 3}))
    assert "ownlib" not in direct_urls()


# ---- needs by address, markers ------------------------------------------------------------------


def metadata_of(wheel) -> str:
    """Return what a wheel's file says of itself, and that its RECORD agrees."""
    with zipfile.ZipFile(wheel.path) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        text = archive.read(name)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).decode().rstrip("=")
        assert f"{name},sha256={digest},{len(text)}" in archive.read(name[:-8] + "RECORD").decode()
    assert wheel.sha256 == hashlib.sha256(wheel.path.read_bytes()).hexdigest()
    return text.decode()


def test_what_a_wheel_needs_by_a_path_travels_and_the_path_does_not(tmp_path, store):
    """In its metadata stand name and version instead; what only an unasked extra needs is left out."""
    project(tmp_path / "low", "low", version="3.0")
    helper = f"low @ file://{tmp_path}/low"
    needs = (f"mid[x] @ file://{tmp_path}/mid ; python_version > '3'", "idna>=3")
    project(
        tmp_path / "top", "top", needs=(*needs, f"gone @ file://{tmp_path}/gone ; extra == 'dev'")
    )
    project(
        tmp_path / "mid", "mid", needs=(f"{helper}; extra == 'x'", f"top @ file://{tmp_path}/top")
    )
    own = OwnWheels(store)
    assert own.take([str(tmp_path / "top")]) == ["top==1.0"]
    assert [str(one) for one in own.wheels] == ["low 3.0", "mid 1.0", "top 1.0"]
    assert own["top"].requires == ["mid[x]==1.0 ; python_version > '3'", "idna>=3"]
    assert own["mid"].requires == ["low==3.0 ; extra == 'x'", "top==1.0"]
    for wheel in own.wheels:
        assert str(tmp_path) not in metadata_of(wheel)
    locked = {one.name for one in read_lock(lock(["top==1.0"], **GLIBC, wheels=own.wheels))}
    assert locked == {"idna", "low", "mid", "top"}
    with pytest.raises(
        RequirementsError, match=r"top 1.0 from .* needs gone by an address.*no .*/gone"
    ):
        OwnWheels(store).take([f"{tmp_path}/top[dev]"])


def test_what_a_wheel_needs_by_an_address_is_refused_without_its_password(tmp_path, store):
    """Unless it is installed here from there; no index is asked for its name instead."""
    project(tmp_path / "top", "top", needs=("low @ https://me:hunter2@127.0.0.1:1/low.zip",))
    with pytest.raises(
        RequirementsError, match=r"needs low by an address.*install it here"
    ) as caught:
        OwnWheels(store).take([str(tmp_path / "top")])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", [' ; python_version<"3.12"', ';python_version < "3.12"'])
def test_a_marker_on_a_path_counts_where_the_artifact_is_to_run(tmp_path, store, text):
    """Where it holds nowhere nothing is taken; where it holds in part, the error says what to do."""
    line = f"{project(tmp_path / 'low', 'low')}{text}"

    def taken(*pythons):
        own = OwnWheels(store, targets=[Target(each, "linux", "x86_64") for each in pythons])
        return own.take([line]), [str(one) for one in own.wheels]

    assert taken("3.11") == (["low==1.0 ; " + text.partition(";")[2].strip()], ["low 1.0"])
    assert taken("3.12") == ([], [])
    with pytest.raises(
        RequirementsError, match=r"for Python 3\.11 on linux/amd64 alone.*for each apart"
    ):
        taken("3.11", "3.12")


@pytest.mark.parametrize(
    ("platform", "says"),
    [
        (
            "x86_64-unknown-linux-musl",
            "base has musl, as Alpine does.*base with glibc, such as python:3.11-slim",
        ),
        ("x86_64-manylinux_2_28", r"base has glibc 2\.28.*choose a newer base"),
    ],
)
def test_a_wheel_for_another_c_library_names_it(tmp_path, store, platform, says):
    """And the base that would do; for a sealed flow, what its target stands for."""
    path = project(tmp_path / "low", "low", tag="cp311-cp311-manylinux_2_34_x86_64")
    own = OwnWheels(store)
    own.take([str(path)])
    with pytest.raises(RequirementsError, match=says):
        require_fit(own["low"], "3.11", platform)
    with pytest.raises(RequirementsError, match=r"linux/amd64 stands for glibc 2\.28"):
        require_fit_target(own["low"], Target("3.11", "linux", "x86_64"))

"""`prefect.dependencies.flow_lock`, with the real uv and the real index."""

import hashlib
import re
import subprocess
import sys
import zipfile
from importlib import metadata

import pytest
from wheel_making import sdist

from prefect.dependencies.flow_lock import LockWishes, complete
from prefect.dependencies.pylock_reading import Pylock
from prefect.dependencies.targets import targets, this_target, uv_platform, wheel_tags
from prefect.dependencies.uv import uv_environment, uv_program
from prefect.dependencies.wheels import read_wheel
from prefect.errors import IndexUnreachableError, RequirementsError
from prefect.frozen import replace
from prefect.payload.manifest import Manifest
from prefect.pylock import Target, read

NOWHERE = "http://127.0.0.1:9/simple"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Nothing of other tests is remembered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def here(name):
    """Return an installed distribution as a line."""
    return f"{name}=={metadata.version(name)}"


def manifest(*names):
    """Return the manifest of a flow that imports these."""
    return Manifest.describe(
        {"name": "etl"}, {name.replace("-", "_"): here(name) for name in names}
    )


def names(lock, target):
    """Return the names of what is locked for a target."""
    return {one.name for one in lock.for_target(target)}


def test_what_a_flow_imports_is_locked_as_it_is_here():
    """The closure is locked in the versions installed here, with hashes and without any address."""
    text = complete(manifest("requests"), LockWishes()).lock
    lock = read(text)
    assert lock.targets == (this_target(),)
    assert {"requests", "urllib3", "idna", "certifi"} <= names(lock, this_target())
    for one in lock.packages:
        assert one.version == metadata.version(one.name)
    assert "://" not in text


def test_a_flow_without_requirements_is_left_as_it_is():
    """Nothing is asked where there is nothing to lock."""
    plain = manifest()
    assert complete(plain, LockWishes()) is plain


def test_each_target_is_locked():
    """Every Python and platform that is asked for gets the wheels that fit it."""
    wishes = LockWishes(
        dependencies=("tomli; python_version < '3.12'",),
        platforms=("linux/amd64", "linux/arm64", "macos/arm64"),
        pythons=("3.11", "3.13"),
    )
    lock = read(complete(manifest("numpy"), wishes).lock)
    assert len(lock.targets) == 6
    numpy = next(one for one in lock.packages if one.name == "numpy")
    assert len(numpy.files) == 6
    assert lock.marker(numpy) == ""
    tomli = next(one for one in lock.packages if one.name == "tomli")
    assert lock.marker(tomli) == "python_version == '3.11'"
    assert "tomli" not in names(lock, Target("3.13", "linux", "aarch64"))


def test_what_lacks_a_wheel_for_a_target_is_named_with_it():
    """The error says which package, which target, and what to do."""
    wishes = LockWishes(("triton",), platforms=("linux/amd64", "macos/arm64"), pythons=("3.12",))
    with pytest.raises(RequirementsError, match=r"no wheel of triton .*Python 3.12 on macos/arm64"):
        complete(manifest(), wishes)


def test_the_c_library_of_a_target_counts_each_time():
    """Targets that differ by it alone are equal, and yet have other wheels."""
    names = [f"own-1-py3-none-manylinux_2_{glibc}_x86_64.whl" for glibc in (28, 34)]
    wheels = ", ".join(
        f'{{ name = "{n}", hashes = {{ sha256 = "{n[-12] * 64}" }} }}' for n in names
    )
    text = f'lock-version = "1.0"\n[[packages]]\nname = "own"\nversion = "1"\nwheels = [{wheels}]\n'
    lock = Pylock(text, "x", "fix it")
    for glibc, name in ((36, names[1]), (28, names[0]), (36, names[1])):
        target = Target("3.11", "linux", "x86_64", (2, glibc))
        assert [one.files[0].name for one in lock.packages(target)] == [name]
    with pytest.raises(RequirementsError, match="has musl, as Alpine does"):
        lock.packages(Target("3.11", "linux", "x86_64", None))


def test_a_lock_is_remembered(monkeypatch):
    """The second build of a day asks nobody, and gets the same."""
    wishes = LockWishes(platforms=("linux/amd64", "linux/arm64"))
    first = complete(manifest("idna"), wishes)
    monkeypatch.setattr(subprocess, "run", None)
    assert complete(manifest("idna"), wishes) == first


def test_without_an_index_what_is_installed_is_recorded_with_a_warning(monkeypatch, caplog):
    """Who asked for nothing special gets a sealed flow, and is told what it lacks."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOWHERE)
    monkeypatch.setenv("UV_NO_CACHE", "1")
    plain = manifest("idna")
    assert complete(plain, LockWishes()) is plain
    assert "Not locked, for the index cannot be reached" in caplog.text


@pytest.mark.parametrize(
    "wishes", [{"lock": "etl.lock"}, {"pythons": ("3.12",)}, {"dependencies": ("six",)}]
)
def test_without_an_index_a_lock_that_was_asked_for_is_an_error(tmp_path, monkeypatch, wishes):
    """What was asked for is done or refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOWHERE)
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(IndexUnreachableError):
        complete(manifest("idna"), LockWishes(**wishes))
    assert not list(tmp_path.glob("*.lock"))


def test_what_no_index_has_in_this_version_is_an_error_with_a_fix():
    """Neither a warning nor a lock that lacks it."""
    flow = replace(manifest(), requirements={"idna": "idna==3.99.0"})
    with pytest.raises(RequirementsError, match="does not have idna in that version") as caught:
        complete(flow, LockWishes())
    assert "--no-infer" in str(caught.value)
    assert not isinstance(caught.value, IndexUnreachableError)


def test_a_contradiction_names_what_the_flow_imports():
    """An inferred version that does not go with what is asked for is told apart from it."""
    with pytest.raises(RequirementsError, match="is what the flow imports, as installed here"):
        complete(manifest("idna"), LockWishes(("requests>=2", "idna-ssl==99")))


def test_r_adds_and_no_infer_replaces():
    """What is asked for comes to what is imported, or, with --no-infer, in its stead."""
    both = read(complete(manifest("idna"), LockWishes(("six",))).lock)
    assert {one.name for one in both.packages} == {"idna", "six"}
    one = read(complete(manifest("idna"), LockWishes(("six",), infer=False)).lock)
    assert {one.name for one in one.packages} == {"six"}


def test_an_import_that_a_marker_leaves_out_is_refused():
    """A flow that would fail where it runs is not packaged, unless that is said."""
    with pytest.raises(RequirementsError, match="would be missing for Python"):
        complete(manifest("idna"), LockWishes(("idna; sys_platform == 'win32'", "six")))


@pytest.mark.parametrize("name", ["etl.lock", "pylock.etl.toml"])
def test_a_lock_file_is_written_and_then_taken(tmp_path, name):
    """As requirement lines or as a pylock.toml: what was locked is locked again, in these versions."""
    path = tmp_path / name
    wishes = LockWishes(("click==8.2.0",), lock=str(path), platforms=("linux/amd64", "linux/arm64"))
    first = complete(manifest("numpy"), wishes)
    written = path.read_bytes()
    again = complete(manifest("numpy"), replace(wishes, dependencies=("click",)))
    assert again.lock == first.lock
    assert "click-8.2.0" in again.lock
    assert path.read_bytes() == written
    with pytest.raises(
        RequirementsError, match=r"does not fit what is asked for:\n  it lacks six\n"
    ):
        complete(manifest("numpy"), replace(wishes, dependencies=("six",)))
    complete(manifest("numpy"), replace(wishes, dependencies=("six",), relock=True))
    assert b"six" in path.read_bytes()


def test_a_lock_with_other_hashes_is_refused(tmp_path):
    """The file that the index has is not the one that was locked."""
    path = tmp_path / "etl.lock"
    path.write_text(f"{here('idna')} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(RequirementsError, match="does not have the hash of idna"):
        complete(manifest("idna"), LockWishes(lock=str(path)))


@pytest.mark.parametrize(
    ("pin", "says"),
    [("sha256:" + "0" * 64, "None of the hashes"), ("sha512:" + "0" * 128, "without a sha256")],
)
def test_hashes_that_are_asked_for_are_compared(pin, says):
    """A hash behind a version is that of the file that is locked."""
    with pytest.raises(RequirementsError, match=says):
        complete(manifest(), LockWishes((f"{here('idna')} --hash={pin}",)))


def test_a_pylock_of_another_tool_loses_its_addresses(tmp_path):
    """Of uv's own pylock.toml travel names, versions and hashes."""
    text = complete(manifest("idna"), LockWishes()).lock
    path = tmp_path / "pylock.toml"
    theirs = re.sub('path = "', 'url = "https://user:hunter2@files.example/x/', text)
    path.write_text(theirs.replace('created-by = "prefect"', 'created-by = "uv"'))
    assert complete(manifest("idna"), LockWishes(lock=str(path))).lock == text


@pytest.fixture
def project(tmp_path):
    """A project with a lock of its own, for another version than is installed here."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").write_text(
        '[project]\nname = "own"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["idna==3.10", "colorama; sys_platform == \'win32\'"]\n'
        '[dependency-groups]\ndev = ["six"]\n'
    )
    subprocess.run([uv_program(), "lock", "--quiet", "--project", str(directory)], check=True)
    return directory


def test_a_projects_lock_is_taken(project):
    """Its versions, without its groups of dependencies, and for each target that is asked for."""
    wishes = LockWishes(project=str(project), pythons=("3.11", "3.13"))
    lock = read(complete(manifest("idna"), wishes).lock)
    assert [(one.name, one.version) for one in lock.packages] == [("idna", "3.10")]
    with pytest.raises(RequirementsError, match="it lacks requests"):
        complete(manifest("requests"), wishes)


def test_a_lock_that_is_older_than_what_its_project_requires_is_told(project, caplog):
    """Its versions are taken all the same, and the warning has what changed and the command."""
    wishes = LockWishes(project=str(project))
    complete(manifest("idna"), wishes)
    assert "lock the project anew" not in caplog.text
    pyproject = project / "pyproject.toml"
    pyproject.write_text(
        pyproject.read_text()
        .replace('"idna==3.10"', '"idna>=3.10", "Six[a]"')
        .replace("dev", "lint")
    )
    lock = read(complete(manifest("idna"), wishes).lock)
    assert [(one.name, one.version) for one in lock.packages] == [("idna", "3.10")]
    (line,) = [one.message for one in caplog.records if "lock the project anew" in one.message]
    assert "(+ idna>=3.10, + six[a], - idna==3.10)" in line
    assert f"`uv lock --project {project}`" in line


def test_a_directory_without_a_lock_is_no_project(tmp_path):
    """The error says what is looked for."""
    wishes = LockWishes(project=str(tmp_path))
    with pytest.raises(
        RequirementsError, match=r"neither .*/pylock.toml, nor .*pyproject.toml with"
    ):
        complete(manifest(), wishes)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "own"\nversion = "1"\n')
    with pytest.raises(RequirementsError, match=f"`uv lock --project {tmp_path}`"):
        complete(manifest(), wishes)


def test_a_lock_is_taken_for_what_it_was_made_for_alone(tmp_path):
    """Else the error says what that is and how to lock anew, and not that a stranger's code be run."""
    path = tmp_path / "pylock.toml"
    complete(manifest("markupsafe"), LockWishes(lock=str(path), pythons=("3.12",)))
    wishes = [LockWishes(lock=str(path)), LockWishes(project=str(tmp_path))]
    for one, fix in zip(wishes, ("--relock", "the project's own tool"), strict=True):
        with pytest.raises(RequirementsError, match=r"not for Python 3\.11 on") as caught:
            complete(manifest("markupsafe"), replace(one, pythons=("3.11",)))
        text = str(caught.value)
        assert text.startswith(f"{path} is locked for Python 3.12 on ")
        assert fix in text
        assert ("--relock" in text) == (fix == "--relock")
        assert "--allow-source" not in text
    path.write_text(path.read_text().replace(">=3.12", ">=3.12.3").replace("environments", "noted"))
    complete(manifest("markupsafe"), LockWishes(lock=str(path), pythons=("3.12",)))
    with pytest.raises(RequirementsError, match=r"is locked for Python >=3\.12\.3, and not for"):
        complete(manifest("markupsafe"), LockWishes(lock=str(path), pythons=("3.11",)))


def test_what_a_lock_lacks_is_told_once_with_its_targets(tmp_path):
    """A line for each problem; each has the Pythons and platforms that it is one of."""
    path = tmp_path / "etl.lock"
    pythons, platforms = ("3.11", "3.12", "3.13"), ("macos/arm64", "linux/amd64")
    wishes = LockWishes(("six", "tomli; python_version < '3.12'"), lock=str(path), pythons=pythons)
    wishes = replace(wishes, platforms=platforms)
    complete(manifest(), wishes)
    with pytest.raises(RequirementsError) as caught:
        complete(manifest(), replace(wishes, dependencies=("idna", "tomli")))
    assert str(caught.value).splitlines()[1:-1] == [
        "  it lacks idna",
        "  it lacks tomli for Python 3.12, 3.13 on linux/amd64, macos/arm64",
    ]


def test_a_version_that_differs_is_told_with_the_targets_that_have_it(tmp_path, caplog):
    """Where one Python has another version than is installed, it is not said of all."""
    wishes = LockWishes(
        ("idna<3.7; python_version == '3.13'", "idna; python_version < '3.13'"),
        pythons=("3.11", "3.13"),
        platforms=("linux/amd64",),
    )
    version = metadata.version("idna")
    complete(replace(manifest("idna"), installed={"idna": version}), wishes)
    assert caplog.messages[-1:] == [
        f"Not as here: idna 3.6 in the lock for Python 3.13 on linux/amd64, {version} here"
    ]


def test_cause_and_fix_are_said_before_the_words_of_uv(tmp_path, monkeypatch):
    """Of an index that does not answer, of what no index has, and of a contradiction with an import."""
    with pytest.raises(RequirementsError, match=r"(?s)--no-infer .*uv says:\n.*idna"):
        complete(manifest("idna"), LockWishes(("idna-no-such>=1",)))
    monkeypatch.setenv("UV_DEFAULT_INDEX", NOWHERE)
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(
        IndexUnreachableError, match=r"(?s)does not answer.*UV_FIND_LINKS.*uv says:\n"
    ):
        complete(manifest("idna"), LockWishes(pythons=("3.12",)))


def wheel(directory, name, version, needs="Requires-Dist: six\n"):
    """Make a wheel that no index has."""
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_wheels_that_travel_are_locked_with_what_they_need(tmp_path):
    """A wheel of the user's own code stands in the lock by its own hash, beside its requirements."""
    own = wheel(tmp_path, "own_helpers", "1.2")
    flow = replace(manifest(), requirements={"own_helpers": "own-helpers==1.2"})
    lock = read(complete(flow, LockWishes(pythons=("3.11", "3.12")), [read_wheel(own)]).lock)
    found = {one.name: one for one in lock.packages}
    assert found.keys() == {"own-helpers", "six"}
    (file,) = found["own-helpers"].files
    assert (file.name, file.size) == (own.name, own.stat().st_size)
    assert file.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()


def test_a_wheel_that_travels_is_taken_before_one_of_the_index(tmp_path):
    """Somebody else's package of the same name and version has no say."""
    own = wheel(tmp_path, "idna", metadata.version("idna"))
    lock = read(complete(manifest("idna"), LockWishes(), [read_wheel(own)]).lock)
    (file,) = next(one.files for one in lock.packages if one.name == "idna")
    assert file.sha256 == hashlib.sha256(own.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"platforms": ("windows/amd64",)}, "is no platform that packages are locked for"),
        ({"platforms": ("linux/amd64", "linux/x86_64")}, "named twice"),
        ({"pythons": ("3.10",)}, "no series of Python"),
        ({"pythons": ("3.11.4",)}, "no series of Python"),
        ({"relock": True}, "nothing to lock anew"),
        ({"project": ".", "lock": "x"}, "two sources"),
        ({"sources": ("a b",)}, "no distribution's name"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(wishes, says):
    """When the environment is made, before anything is pickled."""
    with pytest.raises(ValueError, match=says):
        LockWishes(**wishes)


def test_what_is_locked_is_installed_by_version_and_hash(tmp_path):
    """From the index that is configured where it is installed, which checks the hashes."""
    lock = read(complete(manifest("idna"), LockWishes()).lock)
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"{one.line()}\n" for one in lock.for_target(this_target())))
    install = [uv_program(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    install += ["--python", sys.executable, "--target", str(tmp_path / "site"), "-r", str(lines)]
    subprocess.run(install, check=True, env=uv_environment())
    assert (tmp_path / "site/idna/__init__.py").exists()


def test_a_lock_beside_its_files_is_installed_by_other_tools(tmp_path):
    """A path in it is where a file is that lies beside the lock: no index is needed then."""
    own = wheel(tmp_path, "own_helpers", "1.2", needs="")
    flow = replace(manifest(), requirements={"own_helpers": "own-helpers==1.2"})
    (tmp_path / "pylock.toml").write_text(complete(flow, LockWishes(), [read_wheel(own)]).lock)
    install = [uv_program(), "pip", "install", "--quiet", "--offline", "--no-index"]
    install += ["--python", sys.executable, "--target", str(tmp_path / "site")]
    install += ["-r", str(tmp_path / "pylock.toml")]
    subprocess.run(install, check=True, env=uv_environment())
    assert (tmp_path / "site/own_helpers.py").exists()


def test_a_platform_that_is_named_is_any_machine_of_its_kind():
    """Its wheels are for an old glibc; unasked, they are for the machine that builds."""
    (named,) = targets(["linux/amd64"], ["3.12"])
    assert uv_platform(named) == "x86_64-manylinux_2_28"
    assert "cp312-cp312-manylinux_2_34_x86_64" not in map(str, wheel_tags(named))
    assert targets() == [this_target()]
    assert targets()[0].glibc == this_target().glibc


def test_what_is_built_from_source_is_locked_as_its_source(tmp_path, monkeypatch):
    """Once its name allows it: where the flow runs, it is built from that very file."""
    place = tmp_path / "links"
    place.mkdir()
    sdist(place, "ourssource", tmp_path / "told")
    monkeypatch.setenv("UV_FIND_LINKS", str(place))
    with pytest.raises(RequirementsError, match="--allow-source ourssource"):
        complete(manifest(), LockWishes(("ourssource",)))
    assert not (tmp_path / "told").exists()
    lock = read(complete(manifest(), LockWishes(("ourssource",), sources=("ourssource",))).lock)
    (file,) = lock.packages[0].files
    assert file.name == "ourssource-1.tar.gz"
    assert file.sha256 == hashlib.sha256((place / file.name).read_bytes()).hexdigest()

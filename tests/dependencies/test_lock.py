"""`prefect.dependencies.lock`, with the real uv and the real index."""

import os
import re
import subprocess
import time
from importlib import metadata

import pytest
from wheel_making import sdist

from prefect.dependencies import lock as locking
from prefect.dependencies.lock import Distribution, lock, read_lock
from prefect.dependencies.requirements import installed_versions, requirement_name
from prefect.dependencies.resolving import Question
from prefect.dependencies.uv import child_environment, platform_name, uv_environment
from prefect.errors import RequirementsError
from prefect.oci.cache.store import Store

GLIBC = {"python": "3.11", "platform": "x86_64-manylinux_2_36"}


def test_a_lock_names_versions_and_hashes_and_no_url():
    """Every line is a pinned version with hashes, dependencies included, and no index is named."""
    text = lock(["requests"], **GLIBC)
    names = re.findall(r"^([a-z0-9-]+)==", text, flags=re.MULTILINE)
    assert {"requests", "urllib3", "idna", "certifi"} <= set(names)
    assert text.count("--hash=sha256:") >= len(names)
    assert "://" not in text


def test_where_there_is_a_choice_the_version_here_is_taken():
    """What was tried here is what is locked, as long as the requirement allows it."""
    here = metadata.version("click")
    assert f"click=={here} " in lock(["click"], **GLIBC)
    assert f"click=={here} " not in lock([f"click<{here}"], **GLIBC)


def test_the_lock_is_for_the_images_python_and_platform():
    """Markers are evaluated for the image, not for this machine."""
    lines = ["colorama; sys_platform == 'win32'", "tomli; python_version < '3.12'", "idna"]
    assert "tomli==" in lock(lines, **GLIBC)
    other = lock(lines, python="3.13", platform="aarch64-unknown-linux-musl")
    assert "tomli==" not in other
    assert "colorama==" not in other
    assert "idna==" in other


def test_a_lock_is_remembered_while_nothing_changes(tmp_path, monkeypatch):
    """The same question is answered without uv, another one by it; passwords are not kept."""
    monkeypatch.setenv("UV_INDEX_OWN_PASSWORD", "hunter2")
    with Store(tmp_path) as store:
        text = lock(["idna", "click"], **GLIBC, store=store)
        run = subprocess.run
        monkeypatch.setattr(subprocess, "run", None)
        assert lock([" click", "idna", "idna"], **GLIBC, store=store) == text
        monkeypatch.setattr(subprocess, "run", run)
        assert lock(["click"], **GLIBC, store=store) != text
        questions = [
            (["click", "idna"], GLIBC | {"python": "3.12"}),
            (["click", "idna"], GLIBC | {"platform": "aarch64-manylinux_2_28"}),
        ]
        before = len(list((tmp_path / "v1" / "facts").iterdir()))
        for lines, target in questions:
            lock(lines, **target, store=store)
        monkeypatch.setenv("UV_INDEX_OWN_PASSWORD", "hunter3")
        lock(["click", "idna"], **GLIBC, store=store)
        monkeypatch.setattr(locking, "installed_versions", lambda: ["click==8.2.0"])
        assert "click==8.2.0" in lock(["click", "idna"], **GLIBC, store=store)
        assert len(list((tmp_path / "v1" / "facts").iterdir())) == before + 4
        monkeypatch.undo()
        constraints = tmp_path / "constraints"
        monkeypatch.setenv("UV_CONSTRAINT", str(constraints))
        for version in ("8.2.0", "8.2.1"):
            constraints.write_text(f"click=={version}\n")
            assert f"click=={version} " in lock(["click"], **GLIBC, store=store)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hunter" not in path.read_bytes()


@pytest.mark.parametrize(
    ("name", "value"),
    [("my wheels", "{}"), ("wheels", "nothing,{}"), ("wheels", "own=file://{}")],
)
def test_a_lock_is_asked_for_again_when_what_a_variable_names_changes(
    name, value, tmp_path, monkeypatch
):
    """However the variable names it: alone, with a blank in it, in a list, as a URL."""
    directory = tmp_path / name
    directory.mkdir()
    os.utime(directory, (1, 1))
    monkeypatch.setenv("UV_FIND_LINKS", value.format(directory))
    question = Question([], [], [], [], "3.11", "linux")
    before = question.key()
    assert question.key() == before
    (directory / "new.whl").touch()
    assert question.key() != before


def test_a_lock_is_asked_for_again_after_a_day(tmp_path, monkeypatch):
    """New releases are found, if a day late."""
    with Store(tmp_path) as store:
        lock(["idna"], **GLIBC, store=store)
        tomorrow = time.time() + 25 * 3600
        monkeypatch.setattr("time.time", lambda: tomorrow)
        monkeypatch.setattr(locking, "resolve", lambda *_, **__: "asked again")
        assert lock(["idna"], **GLIBC, store=store) == "asked again"


def test_what_is_installed_is_read_from_names():
    """The quick way finds the distributions that reading all their metadata finds."""
    slow = {requirement_name(d.metadata["Name"]): d.version for d in metadata.distributions()}
    quick = dict(line.split("==") for line in installed_versions())
    assert len(quick) > 30
    assert quick.items() <= slow.items()
    assert {n for n, v in slow.items() if "+" not in v} - quick.keys() <= {"prefect"}


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["no-such-distribution-of-this-name-1"], "not found"),
        (["click==99999"], "99999"),
        (["click>=8", "click<8"], "click"),
    ],
)
def test_what_cannot_be_resolved_is_said_with_the_resolvers_reason(lines, cause):
    """The error names the requirements, the platform, and the resolver's own cause."""
    with pytest.raises(RequirementsError, match=r"cannot be resolved for Python 3\.11") as caught:
        lock(lines, **GLIBC)
    assert cause in str(caught.value)
    assert "/tmp" not in str(caught.value)


@pytest.mark.parametrize(
    "line", ["-r other.txt", "--index-url x", "./here", "# note", "a\n-e b", "a >< 1"]
)
def test_what_is_no_requirement_is_refused(line):
    """Options and paths are not requirements: they would reach past the lock."""
    with pytest.raises(RequirementsError, match="not a requirement"):
        lock([line], **GLIBC)


def test_an_option_of_pips_is_told_with_what_there_is_instead():
    """Its value may be an address with a password, and is not repeated."""
    with pytest.raises(
        RequirementsError, match=r"^--index-url is an option .*UV_DEFAULT_INDEX"
    ) as e:
        lock(["--index-url=https://user:canary@index.example/simple"], **GLIBC)
    assert "canary" not in str(e.value)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("https://user:canary@index.example/six.whl", "https://***@index.example/six.whl"),
        (
            "six @ https://user:canary@index.example/six.whl",
            "six @ https://***@index.example/six.whl",
        ),
        ("git+ssh://canary@git.example/six", "git+ssh://***@git.example/six"),
    ],
)
def test_what_is_asked_for_by_an_address_is_refused(line, shown):
    """The error quotes it, without what may be secret."""
    with pytest.raises(RequirementsError, match="asked for by an address") as caught:
        lock([line], **GLIBC)
    assert f"'{shown}'" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("line", ["prefect", "Prefect>=2", "prefect[dask]"])
def test_prefect_itself_is_no_dependency(line):
    """The image gets this very package; another one under its name would shadow it."""
    with pytest.raises(RequirementsError, match="must not be among"):
        lock([line], **GLIBC)


@pytest.mark.parametrize(
    ("machine", "glibc", "name"),
    [
        ("x86_64", (2, 36), "x86_64-manylinux_2_36"),
        ("x86_64", (2, 99), "x86_64-manylinux_2_40"),
        ("x86_64", (2, 30), "x86_64-manylinux_2_28"),
        ("aarch64", (2, 17), "aarch64-manylinux_2_17"),
        ("aarch64", None, "aarch64-unknown-linux-musl"),
    ],
)
def test_platforms_have_uvs_names(machine, glibc, name):
    """The newest platform that the C library can run is chosen, and uv knows it."""
    assert platform_name(machine, glibc) == name
    assert "idna==" in lock(["idna"], python="3.12", platform=name)


def test_names_are_normalised():
    """Spellings of one distribution's name are equal (PEP 503)."""
    assert {requirement_name(n) for n in ("My.Pkg>1", "my_pkg[x]", " my-pkg")} == {"my-pkg"}
    assert requirement_name(">=1") == ""


def test_a_locks_address_is_quoted_without_its_password():
    """An error tells of the line, and of no credentials in it."""
    for line in (
        "--index-url https://me:PW-9931@host.test/simple?sig=PW-9931",
        "six @ https://PW-9931@host.test/six.whl",
    ):
        with pytest.raises(RequirementsError, match=r"\*\*\*@host\.test/") as caught:
            read_lock(f"{line}\n")
        assert "PW-9931" not in str(caught.value)


def test_an_index_is_told_of_without_its_password(monkeypatch):
    """Also where it is the resolver that tells."""
    monkeypatch.setenv("UV_INDEX_URL", "http://me:PW-9931@127.0.0.1:9/simple")
    with pytest.raises(RequirementsError, match=r"127\.0\.0\.1") as caught:
        lock(["surely-not-here"], **GLIBC)
    assert "PW-9931" not in str(caught.value)


SIX = "ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81"  # the sdist of 1.17.0
SIX_WHEEL = "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"


def test_hashes_that_are_asked_for_are_those_of_the_lock():
    """A lock has no other hashes of a pinned version, and all of what is not pinned."""
    line = f"Six==1.17 --hash=sha256:{SIX_WHEEL}"
    text = lock([line, "idna"], **GLIBC)
    assert [one for one in read_lock(text) if one.name == "six"] == [
        Distribution("six", "1.17.0", f"six==1.17.0 \\\n    --hash=sha256:{SIX_WHEEL}\n")
    ]
    assert text.count("--hash") > 2
    both = lock([f"{line} --hash sha256:{SIX}"], **GLIBC)
    assert set(re.findall("[0-9a-f]{64}", both)) == {SIX, SIX_WHEEL}
    other = lock([f"six==1.17.0 --hash=sha512:{'0' * 128}"], **GLIBC)  # the installer compares it
    assert other == f"six==1.17.0 \\\n    --hash=sha512:{'0' * 128}\n"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"six==1.17.0 --hash=sha256:{'0' * 64}", "None of the hashes"),
        (f"six==1.16.0 --hash=sha256:{SIX_WHEEL}", "None of the hashes"),
        (f"six>=1.17.0 --hash=sha256:{SIX_WHEEL}", r"write six==VERSION"),
        (f"six==1.* --hash=sha256:{SIX_WHEEL}", r"write six==VERSION"),
        ("six==1.17.0 --hash=sha256:0", "is no hash of six"),
        (f"six==1.17.0 --hash=md5:{'0' * 32}", "is no hash of six"),
        ("six==1.17.0 --no-binary=six", "is not a requirement"),
        (f"six=1 --hash=sha256:{SIX_WHEEL}", "is not a requirement"),
    ],
)
def test_hashes_that_prove_nothing_are_refused(line, says):
    """Those of another file, and those that are no hashes of one version."""
    with pytest.raises(RequirementsError, match=says):
        lock([line], **GLIBC)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The file in which a build script tells its environment; uv finds its sdist `strangeofours`."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    monkeypatch.setenv("PREFECT_ENCRYPTION_KEY", "hunter3")
    told = tmp_path / "told.json"
    sdist(wheels, "strangeofours", told)
    return told


def test_a_lock_runs_no_build_script_unless_it_is_allowed(source, monkeypatch):
    """What has no wheel is an error that says how to allow it, whatever uv's variables say."""
    monkeypatch.setenv("UV_NO_BINARY", "1")
    with pytest.raises(
        RequirementsError, match=r"no wheel of strangeofours.*--allow-source strangeofours"
    ):
        lock(["strangeofours"], **GLIBC)
    with pytest.raises(RequirementsError, match=r"allow_source=\['strangeofours'\]"):
        lock(["strangeofours"], **GLIBC, sources=["other"])
    assert not source.exists()
    assert "strangeofours==1 " in lock(["strangeofours"], **GLIBC, sources=["strangeofours"])


def test_a_build_script_gets_no_secrets(source):
    """Of this process's variables it has those that any program needs."""
    lock(["strangeofours"], **GLIBC, sources=["strangeofours"])
    told = source.read_text()
    assert '"PATH"' in told
    assert "hunter" not in told


def test_a_build_script_gets_no_credentials_of_an_index(source, monkeypatch):
    """What uv has it hands on, so nothing is built with such a variable in it."""
    monkeypatch.setenv("UV_INDEX_OURS_PASSWORD", "hunter4")
    with pytest.raises(RequirementsError, match="UV_INDEX_OURS_PASSWORD holds cred") as caught:
        lock(["strangeofours"], **GLIBC, sources=["strangeofours"])
    assert "hunter4" not in str(caught.value)
    assert not source.exists()


@pytest.mark.parametrize("name", ["UV_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY"])
def test_credentials_in_an_address_are_credentials(monkeypatch, name):
    """An index's or a proxy's; an address without any is handed on."""
    monkeypatch.setenv(name, "https://127.0.0.1/simple")
    assert name in uv_environment(builds=True)
    monkeypatch.setenv(name, "https://token@127.0.0.1/simple")
    with pytest.raises(RequirementsError, match=f"{name} holds credentials"):
        uv_environment(builds=True)
    assert name in uv_environment()


def test_uv_is_not_told_the_builds_secrets(tmp_path, monkeypatch):
    """Not even where it executes nothing: it gets what is its own, and what programs need."""
    for name in ("DB_PASSWORD", "AWS_SECRET_ACCESS_KEY", "UV_PUBLISH_TOKEN", "PREFECT_X"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("UV_INDEX_OURS_PASSWORD", "for uv")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    found = uv_environment()
    assert "hunter2" not in found.values()
    assert {"PATH", "UV_INDEX_OURS_PASSWORD", "https_proxy"} <= found.keys()
    assert not {name for name in child_environment() if name.startswith("UV_")}


@pytest.mark.parametrize(
    ("platform", "says"),
    [
        ("x86_64-unknown-linux-musl", r"no wheel of mkl that fits.*base has musl, as Alpine does"),
        ("x86_64-manylinux_2_17", r"no wheel of numpy that fits.*base has glibc 2\.17.*newer base"),
    ],
)
def test_what_has_wheels_for_another_c_library_alone_is_told_with_that(platform, says):
    """And a base that would do; where another Python is what is missing, the C library is not told."""
    with pytest.raises(RequirementsError, match=says):
        lock(
            ["mkl==2024.2.2" if "musl" in platform else "numpy==2.4.6"],
            python="3.11",
            platform=platform,
        )
    with pytest.raises(RequirementsError, match="no wheel of numpy that fits") as caught:
        lock(["numpy==1.23.0"], python="3.13", platform="x86_64-manylinux_2_36")
    assert "glibc" not in str(caught.value).rpartition("There is no wheel")[2]

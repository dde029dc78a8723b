"""`prefect.packaging.requirements`, with the real uv and the real index."""

import re
from importlib import metadata

import pytest

from prefect.errors import RequirementsError
from prefect.packaging.requirements import lock, platform_name, requirement_name

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


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (["no-such-distribution-of-this-name-1"], "not found"),
        (["click==99999"], "99999"),
        (["click>=8", "click<8"], "click"),
        (["click >< 1"], "click"),
    ],
)
def test_what_cannot_be_resolved_is_said_with_the_resolvers_reason(lines, cause):
    """The error names the requirements, the platform, and the resolver's own cause."""
    with pytest.raises(RequirementsError, match=r"cannot be resolved for Python 3\.11") as caught:
        lock(lines, **GLIBC)
    assert cause in str(caught.value)
    assert "/tmp" not in str(caught.value)


@pytest.mark.parametrize("line", ["-r other.txt", "--index-url x", "./here", "# note", "a\n-e b"])
def test_what_is_no_requirement_is_refused(line):
    """Options and paths are not requirements: they would reach past the lock."""
    with pytest.raises(RequirementsError, match="not a requirement"):
        lock([line], **GLIBC)


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

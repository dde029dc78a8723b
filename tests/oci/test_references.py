"""`prefect.oci.references`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect.oci.references import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("python", "docker.io", "library/python", "latest", None),
        ("python:3.11-slim", "docker.io", "library/python", "3.11-slim", None),
        ("me/etl", "docker.io", "me/etl", "latest", None),
        ("localhost/etl:1", "localhost", "etl", "1", None),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000", "a/b", "1", None),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest", None),
        ("ghcr.io/a/b", "ghcr.io", "a/b", "latest", None),
        (f"python@{DIGEST}", "docker.io", "library/python", None, DIGEST),
        (f"r.io/a__b-c.d:1@{DIGEST}", "r.io", "a__b-c.d", "1", DIGEST),
    ],
)
def test_a_reference_is_taken_apart(text, registry, repository, tag, digest):
    """Registry, repository, tag and digest are found as container engines find them."""
    assert Reference.parse(text) == Reference(registry, repository, tag, digest)


@pytest.mark.parametrize(
    "bad",
    ["", ":", "Python", "a b", "a:", "a:b c", "a@sha256:12", "a//b", "/a", "a/", "-a", "a:" + "x" * 129,
     "$(rm)", "a\n", "a@", "r.io/", "./a", "-.io/a", "../a"],
)  # fmt: skip
def test_what_is_no_reference_is_refused(bad):
    """A ValueError quotes what was given."""
    with pytest.raises(ValueError, match="is no image reference"):
        Reference.parse(bad)


def test_a_reference_is_a_str():
    """Another type is a TypeError."""
    with pytest.raises(TypeError, match="not NoneType"):
        Reference.parse(None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rep:1", r"Docker Hub, as docker\.io/library/rep.*Write HOST/rep:1, or USER/rep:1"),
        ("host/rep@sha256:" + "0" * 64, "has a digest"),
    ],
)
def test_what_nobody_can_push_to_is_refused(text, says):
    """A name without a registry is not taken for one of Docker's own images."""
    with pytest.raises(ValueError, match=says):
        Reference.of_target(text)
    for name in ("localhost:5000/rep:1", "team/etl:1", "docker.io/library/rep"):
        assert Reference.of_target(name) == Reference.parse(name)


def test_two_spellings_of_one_image_are_equal():
    """Defaults count as if they were written."""
    assert Reference.parse("python") == Reference.parse("docker.io/library/python:latest")
    assert Reference.parse("python") == Reference.parse("index.docker.io/python")
    assert Reference.parse("python") != Reference.parse("python:3")


@pytest.mark.parametrize(
    ("text", "registry", "there"),
    [
        ("python:3", "localhost:5000", "localhost:5000/python:3"),
        ("me/etl", "r.io/mirror/", "r.io/mirror/me/etl:latest"),
    ],
)
def test_an_image_can_be_looked_for_at_another_registry(text, registry, there):
    """The name moves, without the prefix that only Docker Hub has."""
    assert str(Reference.parse(text).on(registry)) == there


NAMES = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,5})?", fullmatch=True)


@given(
    st.sampled_from(["", "localhost/", "r.example:5000/"]),
    st.lists(NAMES, min_size=1, max_size=3),
    st.from_regex(r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?", fullmatch=True),
    st.sampled_from(["", f"@{DIGEST}"]),
)
def test_what_is_written_is_read_again(registry, path, tag, digest):
    """Writing a parsed reference and parsing it again gives an equal one."""
    parsed = Reference.parse(registry + "/".join(path) + tag + digest)
    assert Reference.parse(str(parsed)) == parsed

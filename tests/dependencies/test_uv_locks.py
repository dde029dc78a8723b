"""`prefect.dependencies.uv_locks`: a project compared with what uv has recorded in its lock."""

import subprocess

import pytest

from prefect.dependencies.uv import uv_program
from prefect.dependencies.uv_locks import changed_since

PROJECT = """
[project]
name = "My_Own"
version = "1"
requires-python = ">=3.11"
dependencies = ["Idna[all] (>=3,<4); python_version >= '3.8'", "six", "colorama ~= 0.4", "beside"]
[project.optional-dependencies]
more = ["toolz"]
[dependency-groups]
dev = ["msgpack"]
[tool.uv.sources]
beside = { path = "beside" }
"""
BESIDE = """
[project]
name = "beside"
version = "1"
"""


@pytest.fixture(scope="module")
def lock(tmp_path_factory):
    """What uv makes of the project, once."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "beside").mkdir()
    (directory / "beside" / "pyproject.toml").write_text(BESIDE)
    (directory / "pyproject.toml").write_text(PROJECT)
    subprocess.run([uv_program(), "lock", "--quiet", "--project", str(directory)], check=True)
    return (directory / "uv.lock").read_text()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", "", []),
        ("~= 0.4", "~=0.4.0", ["+ colorama~=0.4.0", "- colorama~=0.4"]),
        ('"six"', '"six", "httpx>=1"', ["+ httpx>=1"]),
        ('"six", ', "", ["- six"]),
        ("[all]", "", ["+ idna<4,>=3", "- idna[all]<4,>=3"]),
        ('"beside"]', "]", ["- beside"]),
        (">=3.11", ">=3.12", ["+ python>=3.12", "- python>=3.11"]),
        ("(>=3,<4)", "<4, >=3.0", []),
        ('"toolz"', '"numpy"', []),
        ("msgpack", "pytest", []),
        ('version = "1"', 'dynamic = ["version"]', []),
        ("[project]", "[tool.poetry]", []),
        ("[project]", "[", []),
    ],
)
def test_what_changed_since_the_lock_is_told(lock, old, new, told):
    """What is only written otherwise, or is not taken from a lock, is no change."""
    assert changed_since(PROJECT.replace(old, new, 1), lock) == told


def test_a_lock_that_does_not_tell_is_none_that_differs():
    """As of another tool, or of an earlier form."""
    for text in ("", "[", "package = 1", '[[package]]\nname = "other"'):
        assert changed_since(PROJECT, text) == []

"""The Pythons of other series, with this package as it is here; absent ones fail a test."""

import importlib.util
import os
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERIES = ("3.11", "3.12", "3.13")
HERE = "{}.{}".format(*sys.version_info)


@cache
def _found():
    path = ROOT / "scripts" / "newest.py"
    spec = importlib.util.spec_from_file_location("newest", path)
    newest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(newest)
    return {series: program for series, (_, program) in newest.pythons().items()}


def python(series):
    """Return the interpreter of a series."""
    if series not in _found():
        pytest.fail(
            f"Python {series} is neither on PATH nor in pyenv: flows that are packaged by one series "
            "and run by another cannot be tested. Install it, such as by `pyenv install`"
        )
    return _found()[series]


def packages(directory):
    """Fill a directory with what the package needs on any Python: plain Python, as it is here."""
    assert directory.name == "site-packages"  # by which it counts as installed
    directory.mkdir()
    distribution = metadata.distribution("cloudpickle")
    for top in {file.parts[0] for file in distribution.files if ".." not in file.parts}:
        (directory / top).symlink_to(distribution.locate_file(top))
    return directory


def run(series, packaged, *arguments, cwd, **more):
    """Run a Python of a series on some arguments, and return what it did.

    Args:
        packaged: a directory that `packages` filled.
    """
    return subprocess.run(
        [python(series), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{packaged}"},
        capture_output=True, text=True, check=False, timeout=120, **more,
    )  # fmt: skip

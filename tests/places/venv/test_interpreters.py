"""`prefect.places.venv.interpreters`: which Python an environment is made of."""

import sys
from pathlib import Path

import pytest

from prefect.dependencies import uv
from prefect.oci.cache.store import Store
from prefect.places.venv.interpreters import HERE, find_python, known_python

# Stands for uv: has no Python until it is told to install one.
FAKE = """#!/bin/sh
echo "$UV_PYTHON_DOWNLOADS: $*" >> {directory}/log
case "$2" in
    install) touch {directory}/installed ;;
    find) [ -e {directory}/installed ] && echo {python} ;;
esac
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Put a program in the place of uv; return what it was asked so far."""
    program = tmp_path / "uv"
    program.write_text(FAKE.format(directory=tmp_path, python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(uv, "uv_program", lambda: str(program))
    monkeypatch.delenv("UV_PYTHON_DOWNLOADS", raising=False)
    return lambda: (tmp_path / "log").read_text().splitlines()


def test_nothing_is_downloaded_unasked(asked, tmp_path):
    """uv may only look, whatever it does by default."""
    with Store(tmp_path / "store") as store:
        assert find_python("3.29", store) is None
    (line,) = asked()
    assert line.startswith("never: python find ")


def test_uv_installs_a_python_where_its_settings_say_so(asked, tmp_path, monkeypatch):
    """By the variable that uv has for it; what it found is remembered."""
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "automatic")
    with Store(tmp_path / "store") as store:
        assert find_python("3.29", store) == Path(sys.executable)
        assert known_python("3.29", store.root) == Path(sys.executable)
    assert [line.split()[2] for line in asked()] == ["find", "install", "find"]
    assert all("cpython@3.29" in line for line in asked())


def test_what_was_found_is_asked_for_again_once_it_has_changed(asked, tmp_path):
    """A program that was replaced, or is gone, is no longer known."""
    (tmp_path / "installed").touch()
    with Store(tmp_path / "store") as store:
        found = tmp_path / "python"
        found.write_text("1")
        (tmp_path / "uv").write_text(FAKE.format(directory=tmp_path, python=found))
        assert find_python("3.29", store) == found
        assert known_python("3.29", store.root) == found
        found.write_text("another")
        assert known_python("3.29", store.root) is None
        found.unlink()
        assert known_python("3.29", store.root) is None


def test_this_series_is_this_python_itself(tmp_path):
    """Not that of the environment that this runs in, which may go."""
    found = known_python(HERE, None)
    assert found.samefile(Path(sys.base_prefix) / "bin" / f"python{HERE}")
    assert not found.is_symlink()

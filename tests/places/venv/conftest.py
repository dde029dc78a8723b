"""What tests of environments share."""

import pytest


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A directory whose wheels are all that uv knows, and a cache of the test's own."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(directory))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return directory

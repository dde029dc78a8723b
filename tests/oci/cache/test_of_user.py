"""`prefect.oci.cache.of_user`."""

from pathlib import Path

import pytest

from prefect.oci.cache.layout import DEFAULT_LIMIT
from prefect.oci.cache.of_user import cache_directory, clear_cache, open_cache


def test_the_cache_is_where_the_user_keeps_caches(tmp_path, monkeypatch):
    """The variable of the XDG specification comes first, then the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_directory() == tmp_path / "x" / "prefect"
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_directory() == tmp_path / ".cache" / "prefect"


def test_a_relative_directory_for_caches_is_told_once(tmp_path, monkeypatch, caplog):
    """It counts as unset, which whoever set it cannot see otherwise."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", f"of/{tmp_path.name}")
    for _ in range(2):
        cache_directory()
    (told,) = caplog.messages
    assert f"'of/{tmp_path.name}', a relative path" in told
    assert str(tmp_path / ".cache") in told


def test_without_a_home_there_is_a_temporary_cache(monkeypatch):
    """A user without a home directory, as in some containers, builds as any other."""

    def none():
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", none)
    assert cache_directory() is None
    assert clear_cache() == 0
    with open_cache() as store:
        store.remember("key", 1)
        assert store.recall("key") == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", DEFAULT_LIMIT), ("0", 0), ("5", 5), ("1.5KiB", 1536), ("2 MB", 2_000_000),
        ("20GiB", 20 << 30), ("1g", 10**9), ("1T", 10**12),
    ],
)  # fmt: skip
def test_its_size_is_a_variable(tmp_path, monkeypatch, text, size):
    """Sizes are written as people write them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_CACHE_SIZE", text)
    with open_cache() as store:
        assert store.limit == size


@pytest.mark.parametrize("text", ["much", "-1", "1XB", "1 2"])
def test_what_is_no_size_is_an_error(tmp_path, monkeypatch, text):
    """The error names the variable and what it could be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_CACHE_SIZE", text)
    with pytest.raises(ValueError, match=r"PREFECT_CACHE_SIZE is .* such as 20GiB"):
        open_cache()


def test_clearing_gives_back_what_was_kept(tmp_path, monkeypatch):
    """Nothing is there afterwards, and clearing what is not there makes nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert clear_cache() == 0
    assert list(tmp_path.iterdir()) == []
    with open_cache() as store:
        store.remember("key", "x" * 100)
    assert clear_cache() > 100
    with open_cache() as store:
        assert store.recall("key") is None

"""`prefect cache`."""

import fcntl
import os

from prefect.cli.cache import _used
from prefect.oci.cache.of_user import open_cache


def test_the_cache_is_shown_and_cleared(prefect, tmp_path, monkeypatch):
    """Where it is, how much it holds, how much it may; after clearing, nothing is recalled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with open_cache() as store:
        store.remember("a fact", "x" * 5000)
    environment = {"XDG_CACHE_HOME": str(tmp_path), "PREFECT_CACHE_SIZE": "2GiB"}
    out, _ = prefect("cache", **environment)
    assert str(tmp_path / "prefect") in out
    assert "of at most 2.0 GiB (PREFECT_CACHE_SIZE)" in out
    out, _ = prefect("cache", "--clear", **environment)
    assert out.startswith("Deleted ")
    with open_cache() as store:
        assert store.recall("a fact") is None


def test_what_files_that_run_by_themselves_unpacked_is_shown_and_cleared(prefect, tmp_path):
    """Beside what is bounded; what a run still uses stays, and so does what is nobody's of ours."""
    place = tmp_path / "prefect" / "pyz"
    for name in ("a" * 32, "b" * 32, "notes"):
        (place / name / "site-packages").mkdir(parents=True)
        (place / name / "site-packages" / "m.py").write_bytes(bytes(3 << 20))
    out, _ = prefect("cache", XDG_CACHE_HOME=str(tmp_path))
    assert "Beside it, 2 directories that .pyz files have unpacked: 6.0 MiB." in out
    assert ": 3.0 MiB of at most" in out
    handle = os.open(place / ("b" * 32), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)  # as a run does
        out, _ = prefect("cache", "--clear", XDG_CACHE_HOME=str(tmp_path))
    finally:
        os.close(handle)
    assert out.startswith("Deleted 3.0 MiB")
    assert sorted(one.name for one in place.iterdir()) == ["b" * 32, "notes"]


def test_what_goes_while_it_is_counted_is_no_error(tmp_path, monkeypatch):
    """A build beside it deletes its files when it likes."""
    (tmp_path / "stays").write_bytes(b"12345")
    walk = [(str(tmp_path), [], ["gone", "stays"])]
    monkeypatch.setattr("prefect.cli.cache.os.walk", lambda _: walk)
    assert _used(tmp_path) == 5


def test_a_size_that_is_none_is_said(prefect):
    """The variable is named, with an example."""
    _, err = prefect("cache", status=2, PREFECT_CACHE_SIZE="much")
    assert "PREFECT_CACHE_SIZE is 'much'" in err
    assert "20GiB" in err


def test_results_of_runs_are_shown_and_not_cleared(prefect, tmp_path, monkeypatch):
    """They are no cache: prefect runs prune removes them."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    results = tmp_path / "data" / "prefect" / "results"
    results.mkdir(parents=True)
    (results / "one").write_bytes(bytes(3000))
    out, _ = prefect("cache")
    told = "2.9 KiB of results and records of runs, of at most 10.0 GiB (PREFECT_STORE_SIZE)"
    assert f"{tmp_path / 'data' / 'prefect'}: {told}" in out
    prefect("cache", "--clear")
    assert (results / "one").exists()

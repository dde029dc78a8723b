"""`prefect.oci.cache.full`: disks without space."""

from pathlib import Path

import pytest

from prefect.errors import DiskFullError
from prefect.oci.cache.full import FULL
from prefect.oci.cache.store import Store
from prefect.oci.layers.writing import LAYER

DEVICE = Path("/dev/full")  # each write to it finds a full disk


def write_to_a_full_disk(_file):
    with DEVICE.open("wb", buffering=0) as full:
        full.write(b"x")


@pytest.mark.parametrize(("lasting", "variable"), [(True, "XDG_CACHE_HOME"), (False, "TMPDIR")])
def test_a_full_disk_is_told_with_the_cache_that_is_on_it(tmp_path, lasting, variable):
    """The system's error names no file; this one names the cache and the fix, and nothing is kept."""
    with Store(tmp_path / "cache" if lasting else None) as store:
        with pytest.raises(DiskFullError, match=rf"no space left .*{variable}") as caught:
            store.layer("key", write_to_a_full_disk, LAYER)
        assert (f"the cache {tmp_path / 'cache'}" in str(caught.value)) is lasting
        assert not store.has_layer("key")
        assert not list(store.scratch().iterdir())


def test_other_errors_of_a_disk_stay_as_they_are(tmp_path):
    """They name their files themselves."""
    with Store(tmp_path) as store, pytest.raises(FileNotFoundError) as caught:
        store.layer("key", lambda _file: (tmp_path / "absent").open(), LAYER)
    assert caught.value.errno not in FULL
    assert not isinstance(caught.value, DiskFullError)

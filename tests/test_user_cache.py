"""The cache's directory: nobody else may change it, for what is in it is believed."""

import os
import subprocess
import sys

import pytest

from prefect.errors import SettingError
from prefect.oci.cache.of_user import open_cache
from prefect.oci.cache.store import Store


def mode(path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_it_is_made_for_its_user_alone(tmp_path, umask):
    """With its parents, whatever the umask is."""
    script = (
        f"import os, sys; os.umask({umask}); from pathlib import Path\n"
        "from prefect.oci.cache.store import Store\n"
        "Store(Path(sys.argv[1])).close()"
    )
    place = tmp_path / "new" / "cache" / "prefect"
    subprocess.run([sys.executable, "-c", script, str(place)], check=True)
    made = [place, place.parent, place.parent.parent, *place.rglob("*")]
    assert {mode(path) for path in made if path.is_dir()} == {0o700}


@pytest.mark.parametrize("bits", [0o777, 0o702, 0o1777])
@pytest.mark.parametrize("part", ["", "v1", "v1/facts"])
def test_one_that_others_may_write_is_refused(tmp_path, monkeypatch, bits, part):
    """A lock that somebody else remembered there would be built; the error says how to mend it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_cache().close()
    place = tmp_path / "prefect" / part
    place.chmod(bits)
    with pytest.raises(SettingError, match=f"may be written by others.*chmod go-w {place}"):
        open_cache()
    place.chmod(bits & ~0o022)
    open_cache().close()


def test_one_that_others_may_replace_is_refused(tmp_path):
    """Who may write its parent can rename it, but in a sticky directory."""
    parent = tmp_path / "shared"
    parent.mkdir()
    parent.chmod(0o777)
    with pytest.raises(SettingError, match=f"chmod go-w {parent}"):
        Store(parent / "cache")
    parent.chmod(0o1777)
    Store(parent / "cache").close()
    parent.chmod(0o777)
    (tmp_path / "link").symlink_to(parent / "cache")
    with pytest.raises(SettingError, match=f"chmod go-w {parent}"):
        Store(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_one_of_somebody_else_is_refused(tmp_path):
    """Also where it is for its owner alone."""
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    os.chown(place, 12345, 0)
    with pytest.raises(SettingError, match=r"belongs to the user 12345.*XDG_CACHE_HOME"):
        Store(place)

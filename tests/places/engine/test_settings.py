"""`prefect.places.engine.settings`: from what a run is to get to a container's settings."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from prefect.errors import PlaceError, SecretError
from prefect.oci.daemon.settings import Mount
from prefect.places.engine.settings import settings_for
from prefect.places.protocol import Work
from prefect.places.surroundings import Surroundings, Volume

OUTPUT = "/opt/prefect/output"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives directories away")


def image(user="", *, local=True, rootless=False):
    """An image that runs as a user, in an engine here or elsewhere."""
    endpoint = SimpleNamespace(url="tcp://192.0.2.1:2376")
    daemon = SimpleNamespace(
        is_local=local, rootless=rootless, http=SimpleNamespace(endpoint=endpoint)
    )
    return SimpleNamespace(user=user, daemon=daemon, ids=lambda _: (4321, 4322))


def settings(of, secrets=None, **given):
    return settings_for(of, Work(["run"], secrets or {}, surroundings=Surroundings(**given)))


def test_volumes_have_to_be_there_on_the_engines_machine(tmp_path):
    """A path of this machine is looked for here, where the engine is; names are the engine's."""
    there, named = Volume(str(tmp_path), "/in", writable=False), Volume("cache", "/c")
    absent = Volume(str(tmp_path / "no"), "/in")
    made = settings(image(), volumes=(there, named))
    assert made.mounts == (Mount(str(tmp_path), "/in", writable=False), Mount("cache", "/c"))
    with pytest.raises(PlaceError, match=r"no file or directory .*/no"):
        settings(image(), volumes=(absent,))
    assert settings(image(local=False), volumes=(absent,)).mounts == (Mount(absent.source, "/in"),)
    for target in ("/opt/prefect", "/opt/prefect/flow"):
        with pytest.raises(PlaceError, match="would hide"):
            settings(image(), volumes=(Volume("cache", target),))


def test_a_secret_is_no_variable(monkeypatch):
    """Neither by its name nor as a part of a value: the engine keeps variables."""
    monkeypatch.delenv("TOKEN", raising=False)
    secrets = {"TOKEN": "canary-8872-long"}
    for env in ((("TOKEN", "x"),), (("URL", "https://me:canary-8872-long@host"),)):
        with pytest.raises(SecretError, match="handed over in memory") as caught:
            settings(image(), secrets, env=env)
        assert "canary-8872" not in str(caught.value)
    made = settings(image(), secrets, env=(("MODE", "fast"),))
    assert made.env == (("MODE", "fast"),)
    assert list(made.tmpfs) == ["/run/secrets"]
    assert settings(image()).tmpfs == {}


def test_an_output_directory_is_made_and_seen_at_one_place(tmp_path):
    """Root writes there whoever owns it."""
    made = settings(image(), output=tmp_path / "new")
    assert made.mounts == (Mount(str(tmp_path / "new"), OUTPUT),)
    assert (tmp_path / "new").is_dir()
    assert made.user is None


def test_an_engine_elsewhere_has_a_directory_of_its_own(tmp_path):
    """Which every user may write to, and which is copied later; nothing of this machine is mounted."""
    made = settings(image("app", local=False), output=tmp_path / "new")
    assert (made.mounts, made.directories, made.user) == ((), (OUTPUT,), None)
    assert (tmp_path / "new").is_dir()


@needs_root
def test_whoever_owns_the_output_directory_writes_to_it_in_place_of_the_images_user(tmp_path):
    """So that the files are the owner's; never root, never in place of a user who was named."""
    os.chown(tmp_path, 5000, 5001)
    for user in ("1000", "app", "1000:1000"):
        assert settings(image(user), output=tmp_path).user == "5000:5001"
    for user in ("", "root", "0:0", "5000"):
        assert settings(image(user), output=tmp_path).user is None
    assert settings(image("app", rootless=True), output=tmp_path).user is None
    assert settings(image("app"), output=tmp_path, user="7").user == "7"
    assert tmp_path.stat().st_uid == 5000


@needs_root
def test_an_empty_directory_of_root_is_given_to_the_images_user(tmp_path):
    """Which may not run as root; one with something in it stays root's."""
    made = settings(image("app"), output=tmp_path / "new")
    assert made.user is None
    assert (tmp_path / "new").stat().st_uid == 4321
    (tmp_path / "old").mkdir()
    Path(tmp_path, "old", "file").touch()
    settings(image("app"), output=tmp_path / "old")
    assert (tmp_path / "old").stat().st_uid == 0

"""`prefect.oci.engine_files`, on a real engine."""

import importlib.util
import io
import sys
import tarfile
from pathlib import Path

import pytest

from prefect.errors import ImageContentError
from prefect.oci import engine_files as module
from prefect.oci.daemon import Engine
from prefect.oci.engine_files import engine_files

_spec = importlib.util.spec_from_file_location(
    "image_making", Path(__file__).parent / "image_making.py"
)
making = importlib.util.module_from_spec(_spec)
sys.modules["image_making"] = making
_spec.loader.exec_module(making)

pytestmark = pytest.mark.engine
SYMLINK = tarfile.SYMTYPE


@pytest.fixture
def files(engine, unique):
    """The files of an image with links of every kind."""
    tar = making.tar_of(
        ("usr/lib/a", "A"), ("lib", SYMLINK, "usr/lib"), ("etc/up", SYMLINK, "../lib/a"),
        ("etc/absolute", SYMLINK, "/lib/a"), ("etc/twice", SYMLINK, "absolute"),
        ("etc/out", SYMLINK, "../../../../usr/lib/a"), ("etc/gone", SYMLINK, "nothing"),
        ("etc/circle", SYMLINK, "circle"),
    )  # fmt: skip
    engine.api.import_image_from_data(tar, repository=unique)
    before = len(engine.containers.list(all=True))
    with engine_files(Engine(), f"{unique}:latest") as opened:
        yield opened
    assert len(engine.containers.list(all=True)) == before


def test_links_are_followed_within_the_image(files):
    """Also those that lead upwards or out, as in a container; what leads nowhere is nothing."""
    for path in ("/usr/lib/a", "/etc/up", "/etc/absolute", "/etc/twice", "/etc/out"):
        assert files.follow(path) == "/usr/lib/a"
    assert files.read("/lib/a") == b"A"
    for path in ("/etc/gone", "/etc/circle", "/nothing", "/usr", "/lib", "/usr/lib/a/b"):
        assert files.follow(path) is None, path


def test_what_is_no_file_is_not_read(files, monkeypatch):
    """A directory, which could be all of the image, a link to nothing, or a file of any size."""
    for path in ("/", "/usr", "/nothing", "/etc/gone"):
        with pytest.raises(FileNotFoundError):
            files.read(path)
    monkeypatch.setattr(module, "_LARGEST", 0)
    with pytest.raises(ImageContentError, match="has 1 bytes"):
        files.read("/usr/lib/a")


def test_many_files_are_read_over_one_container(files):
    """A closed answer does not spoil the next one."""
    assert {files.read("/usr/lib/a") for _ in range(3)} == {b"A"}
    assert io.BytesIO(files.read("/usr/lib/a")).read() == b"A"

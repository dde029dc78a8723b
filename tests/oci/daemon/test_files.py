"""`prefect.oci.daemon.files`, on a real engine."""

import io
import tarfile

import image_making as making
import pytest

from prefect.errors import ImageContentError
from prefect.oci.daemon import files as module
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.files import daemon_files

pytestmark = pytest.mark.services
SYMLINK = tarfile.SYMTYPE


@pytest.fixture
def files(daemon, unique):
    """The files of an image with links of every kind."""
    tar = making.tar_of(
        ("usr/lib/a", "A"), ("lib", SYMLINK, "usr/lib"), ("etc/up", SYMLINK, "../lib/a"),
        ("etc/absolute", SYMLINK, "/lib/a"), ("etc/twice", SYMLINK, "absolute"),
        ("etc/out", SYMLINK, "../../../../usr/lib/a"), ("etc/gone", SYMLINK, "nothing"),
        ("etc/circle", SYMLINK, "circle"),
    )  # fmt: skip
    daemon.api.import_image_from_data(tar, repository=unique)
    of_image = {"ancestor": f"{unique}:latest"}
    with daemon_files(Daemon(), f"{unique}:latest") as opened:
        assert len(daemon.containers.list(all=True, filters=of_image)) == 1
        yield opened
    assert daemon.containers.list(all=True, filters=of_image) == []


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

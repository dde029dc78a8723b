"""`prefect.oci.daemon.files`, on a real engine."""

import io
import subprocess
import sys
import tarfile

import image_making as making
import pytest

from prefect.errors import ImageContentError
from prefect.oci.daemon import makers
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


def test_what_is_no_file_is_not_read(files):
    """A directory, which could be all of the image, a link to nothing, or a file of any size."""
    for path in ("/", "/usr", "/nothing", "/etc/gone"):
        with pytest.raises(FileNotFoundError):
            files.read(path)
    with pytest.raises(ImageContentError, match="has 1 bytes"):
        files.read("/usr/lib/a", 0)


def test_many_files_are_read_over_one_container(files):
    """A closed answer does not spoil the next one."""
    assert {files.read("/usr/lib/a") for _ in range(3)} == {b"A"}
    assert io.BytesIO(files.read("/usr/lib/a")).read() == b"A"


KILLED = """
import os, sys
from prefect.oci.daemon.client import Daemon
from prefect.oci.daemon.files import daemon_files
with daemon_files(Daemon(), sys.argv[1]):
    os.kill(os.getpid(), 9)
"""


def test_the_container_of_a_killed_reader_is_gone_with_the_next(daemon, base_image):
    """And that of a reader that goes on is not."""
    subprocess.run([sys.executable, "-c", KILLED, base_image], check=False)

    def created():
        query = {"ancestor": base_image, "status": "created"}
        return {each.id for each in daemon.containers.list(all=True, filters=query)}

    abandoned = created()
    assert abandoned
    with daemon_files(Daemon(), base_image):
        mine = created()
        assert len(mine - abandoned) == 1
        assert not mine & abandoned
        with daemon_files(Daemon(), base_image):
            assert mine < created()
    assert not created() & mine


def test_who_made_a_container_is_told_by_more_than_its_number():
    """Numbers of processes come again, and those of another machine say nothing here."""
    me = makers.this_process()
    kernel, pid, started = me.rsplit(" ", 2)
    assert not makers.is_dead(me)
    assert makers.is_dead(f"{kernel} {pid} {int(started) - 1}")
    assert makers.is_dead(f"{kernel} {2**22 + 1} {started}")
    for unknown in (f"another {pid} 1", "", kernel, f"{kernel} x y", f" {pid} 1"):
        assert not makers.is_dead(unknown)

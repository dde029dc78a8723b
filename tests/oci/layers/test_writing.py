"""`prefect.oci.layers.writing`."""

import gzip
import io
import os
import signal
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_making import layer_of, sha256, tar_of

from prefect.errors import ImageContentError
from prefect.oci.images import Layer, blob_of
from prefect.oci.layers.unpacking import walk
from prefect.oci.layers.writing import LAYER, Entry, compress_layer, write_layer


def write(*entries, own: str = "opt/own"):
    file = io.BytesIO()
    return write_layer(entries, file, own=own), file.getvalue()


def listed(packed: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        return {member.name: member for member in tar}


def test_owners_times_and_permissions_are_fixed(tmp_path):
    """Whatever a file is on this disk, in the layer it is root's, of 1970, and readable."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "file").chmod(0o600)
    _, packed = write(
        Entry("opt/own/bin/tool", b"#!", executable=True),
        Entry("opt/own/file", tmp_path / "file"),
        Entry("opt/own/link", link="/usr/bin/python3"),
    )
    members = listed(packed)
    assert list(members) == [
        "opt/own",
        "opt/own/bin",
        "opt/own/bin/tool",
        "opt/own/file",
        "opt/own/link",
    ]
    assert [oct(m.mode) for m in members.values()] == ["0o755", "0o755", "0o755", "0o644", "0o777"]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members.values()} == {
        (0, 0, "", "", 0)
    }
    assert members["opt/own/link"].linkname == "/usr/bin/python3"


def test_only_directories_of_our_own_are_emitted():
    """What the base has keeps its owner and mode."""
    assert list(listed(write(Entry("opt/own/a/f", b""), Entry("opt/f", b""))[1])) == [
        "opt/f",
        "opt/own",
        "opt/own/a",
        "opt/own/a/f",
    ]


@pytest.mark.parametrize("path", ["", "/a", "a//b", "a/", "./a", "a/../b", "..", "d/.wh.x"])
def test_paths_that_lead_elsewhere_are_refused(path):
    """Absolute ones, upward ones, and such as would delete files of the base."""
    with pytest.raises(ValueError, match="cannot be a path"):
        write(Entry(path, b""))


@pytest.mark.parametrize(
    "paths", [("opt/own/a", "opt/own/a"), ("opt/own/a", "opt/own/a/b"), ("opt/own/a/b", "opt/own/a")]
)  # fmt: skip
def test_a_path_has_one_meaning(paths):
    """Two files of one name, or a file that is a directory as well, are an error."""
    with pytest.raises(ValueError, match=r"Two entries|a file and a directory"):
        write(*(Entry(path, b"") for path in paths))


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    """A layer never has fewer or more bytes of a file than its header says."""
    (tmp_path / "growing").write_text("text")
    for size in (1, 100):
        monkeypatch.setattr(
            "prefect.oci.layers.writing.os.fstat",
            lambda _, size=size: type("Stat", (), {"st_size": size}),
        )
        with pytest.raises(OSError, match="changed while"):
            write(Entry("opt/own/f", tmp_path / "growing"))


PATHS = st.lists(
    st.text("abc é.", min_size=1, max_size=9).filter(
        lambda part: part not in {".", ".."} and not part.startswith(".wh.")
    ),
    min_size=1, max_size=3,
).map("/".join)  # fmt: skip


@given(st.dictionaries(PATHS, st.binary(max_size=2000), max_size=8), st.randoms())
def test_bytes_depend_on_the_files_alone(files, random):
    """In any order they make one layer, which has exactly them; its digests are right."""
    entries = [Entry(f"opt/own/{path}", data) for path, data in files.items()]
    taken = {e.path for e in entries}
    if any(p.startswith(f"{q}/") for p in taken for q in taken):
        return
    written, packed = write(*entries)
    random.shuffle(entries)
    assert write(*entries) == (written, packed)
    assert written.digest == sha256(packed)
    assert (written.size, written.unpacked) == (len(packed), len(gzip.decompress(packed)))
    layer = Layer(written.diff_id, blob_of(packed, LAYER))
    found = {m.path: b"".join(iter(r.read, b"")) for m, r in walk(layer) if m.kind == "file"}
    assert found == {f"opt/own/{path}": data for path, data in files.items()}


@given(st.integers(0, 3 << 20))
def test_sizes_around_the_members_of_gzip_are_right(size):
    """Any gzip reads the members as one stream."""
    data = bytes(size)
    written, packed = write(Entry("opt/own/f", data))
    unpacked = gzip.decompress(packed)
    assert sha256(unpacked) == written.diff_id
    assert len(unpacked) == written.unpacked


def test_a_layer_that_is_not_packed_can_be(tmp_path):
    """Its diff_id stays, and bytes that are others than promised are an error."""
    tar = tar_of(("a", "A" * 5000))
    layer = layer_of(tar, packing="")
    file = io.BytesIO()
    written = compress_layer(layer, file)
    assert written.diff_id == layer.diff_id
    assert gzip.decompress(file.getvalue()) == tar
    with pytest.raises(ImageContentError, match="when it is read"):
        compress_layer(Layer(sha256(b"another"), layer.blob), io.BytesIO())
    with pytest.raises(ValueError, match="no bytes here"):
        compress_layer(Layer(layer.diff_id), io.BytesIO())


def test_a_fork_can_compress():
    """A process whose parent has compressed does not wait for the threads that stayed there."""
    expected = write(Entry("opt/own/file", b"content"))[0]
    child = os.fork()
    if not child:
        signal.alarm(60)
        os._exit(write(Entry("opt/own/file", b"content"))[0] != expected)
    assert os.waitpid(child, 0)[1] == 0

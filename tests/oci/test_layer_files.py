"""`prefect.oci.layer_files`."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from image_making import image_of, layer_of, sha256, tar_of

from prefect.errors import ImageContentError
from prefect.oci.images import Layer, blob_of
from prefect.oci.layer_files import LayerFiles

SYMLINK, HARDLINK, DIRECTORY = b"2", b"1", b"5"


def files_of(*layers, wanted: str = "") -> LayerFiles:
    files = LayerFiles(image_of(*(layer_of(tar_of(*each)) for each in layers)), re.compile(wanted))
    for _ in files.read_layers():
        pass
    return files


def test_links_are_followed_as_a_container_would():
    """Through directories, upwards, absolute ones from the image's root, and never out of it."""
    files = files_of(
        [("usr/lib/a", "A"), ("lib", SYMLINK, "usr/lib"), ("etc/up", SYMLINK, "../lib/a"),
         ("etc/absolute", SYMLINK, "/lib/a"), ("etc/out", SYMLINK, "../../../../usr/lib/a"),
         ("circle", SYMLINK, "circle"), ("etc/gone", SYMLINK, "nothing")],
    )  # fmt: skip
    for path in ("/usr/lib/a", "usr/lib/a", "/lib/a", "/lib/./a", "/etc/up", "/etc/absolute",
                 "/etc/out", "/lib/../lib/a"):  # fmt: skip
        assert files.follow(path) == "/usr/lib/a", path
        assert files.read(path) == b"A"
    for path in ("/circle", "/etc/gone", "/lib", "/", "/lib/a/b"):
        assert files.follow(path) is None
        with pytest.raises(FileNotFoundError):
            files.read(path)


UPPER = {
    "the same file": ([("d/f", "new")], b"new"),
    "a whiteout": ([("d/.wh.f", "")], None),
    "a whiteout of its directory": ([(".wh.d", "")], None),
    "an opaque directory": ([("d/.wh..wh..opq", "")], None),
    "an opaque root": ([(".wh..wh..opq", "")], None),
    "an opaque directory with the file anew": ([("d/.wh..wh..opq", ""), ("d/f", "new")], b"new"),
    "a link in its place": ([("d/f", SYMLINK, "g")], b"G"),
    "a file for its directory": ([("d", "file")], None),
    "a link for its directory": ([("d", SYMLINK, "e")], b"E"),
    "the directory again": ([("d", DIRECTORY, "")], b"F"),
    "a whiteout of a like name": ([(".wh.dd", ""), ("d/.wh.ff", "")], b"F"),
    "a hard link": ([("x", "X"), ("d/f", HARDLINK, "x")], b"X"),
}


@pytest.mark.parametrize("kind", UPPER)
def test_an_upper_layer_changes_what_is_below(kind):
    """Whiteouts, replaced files, and directories that become files or links."""
    upper, content = UPPER[kind]
    files = files_of([("d/f", "F"), ("d/g", "G"), ("e/f", "E")], upper)
    found = files.read("/d/f") if files.follow("/d/f") else None
    assert found == content


def test_a_directory_takes_the_place_of_a_link():
    """A layer that was made without merged /usr unmerges it, as in a container."""
    files = files_of(
        [("usr/lib/libc", "old"), ("lib", SYMLINK, "usr/lib")],
        [("lib", DIRECTORY, ""), ("lib/libc", "new")],
    )
    assert files.read("/lib/libc") == b"new"
    assert files.read("/usr/lib/libc") == b"old"


def test_a_directory_that_no_layer_lists_is_one():
    """A file below a link of a lower layer makes a directory of it, as engines unpack it."""
    files = files_of([("usr/lib/a", "A"), ("lib", SYMLINK, "usr/lib")], [("lib/b", "B")])
    assert files.read("/lib/b") == b"B"
    assert files.follow("/lib/a") is None
    assert files.read("/usr/lib/a") == b"A"


def test_only_what_was_asked_for_is_kept():
    """Of other files, not even the path is known; links all are."""
    files = files_of([("a", "A"), ("b", "B"), ("l", SYMLINK, "a")], wanted="^a$")
    assert files.follow("/l") == "/a"
    assert files.follow("/b") is None


@pytest.mark.parametrize("what", [("{}/a", "A" * 1000), ("{}", SYMLINK, "b" * 1000)])
def test_layers_that_unpack_to_too_much_are_refused(what, monkeypatch):
    """What is kept of an image in memory has a limit in all, and not for each file alone."""
    monkeypatch.setattr("prefect.oci.layer_files._MOST_KEPT", 100_000)
    few, many = ([(what[0].format(n), *what[1:]) for n in range(m)] for m in (50, 100))
    files_of(few)
    with pytest.raises(ImageContentError, match="far more"):
        files_of(many)


def test_a_layer_that_is_not_what_it_promises_is_refused():
    """Its digest is compared before what it holds counts."""
    tar = tar_of(("a", "A"))
    layer = Layer(sha256(b"another"), blob_of(tar, "application/vnd.oci.image.layer.v1.tar"))
    files = LayerFiles(image_of(layer), re.compile(""))
    with pytest.raises(ImageContentError, match="unpacks to"):
        list(files.read_layers())
    assert files.follow("/a") is None


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.binary(max_size=9)), max_size=4))
def test_the_last_layer_counts(layers):
    """Of plain files of any layers, each is there as the last layer with it has it."""
    files = files_of(*([(path, data.hex()) for path, data in each.items()] for each in layers))
    expected = {path: data for each in layers for path, data in each.items()}
    for path in "abc":
        found = files.read(path) if files.follow(path) else None
        assert found == (expected[path].hex().encode() if path in expected else None)

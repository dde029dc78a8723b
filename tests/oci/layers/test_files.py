"""`prefect.oci.layers.files`."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_making import content, image_of, layer_of, sha256, tar_of

from prefect.errors import ImageContentError
from prefect.frozen import replace
from prefect.oci.images import Layer, blob_of
from prefect.oci.layers.files import LayerFiles, read_from_layer

SYMLINK, HARDLINK, DIRECTORY = b"2", b"1", b"5"
LIMIT = 1 << 20


def files_of(*layers, wanted: str = "") -> LayerFiles:
    made = (each if isinstance(each, Layer) else layer_of(tar_of(*each)) for each in layers)
    files = LayerFiles(image_of(*made), re.compile(wanted))
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


SEEN = {
    "the topmost counts": ([("a", "1")], [("a", "2")], [("b", "3")], "a", "2"),
    "dots and slashes": ([("./a/b", "1")], "/a/./x/../b", "1"),
    "a whiteout": ([("a", "1")], [(".wh.a", "")], "a", None),
    "a whiteout of a directory": ([("a/b/c", "1")], [("a/.wh.b", "")], "a/b/c", None),
    "a whiteout below its own layer": ([("a/b", "1")], [(".wh.a", ""), ("a/b", "2")], "a/b", "2"),
    "an opaque directory": ([("a/b/c", "1")], [("a/.wh..wh..opq", "")], "a/b/c", None),
    "an opaque root": ([("a", "1")], [(".wh..wh..opq", "")], "a", None),
    "an opaque directory beside": ([("a", "1")], [("b/.wh..wh..opq", "")], "a", "1"),
    "beside an opaque marker": ([("a/c", "1")], [("a/.wh..wh..opq", ""), ("a/b", "2")], "a/b", "2"),
    "a link": ([("bin", SYMLINK, "usr/bin"), ("usr/bin/x", "1")], "bin/x", "1"),
    "a link of another layer": ([("usr/bin/x", "1")], [("bin", SYMLINK, "/usr/bin")], "bin/x", "1"),
    "a relative link": ([("a/b/l", SYMLINK, "../c"), ("a/c", "1")], "a/b/l", "1"),
    "a link above the root": ([("l", SYMLINK, "../../../a"), ("a", "1")], "l", "1"),
    "links to links": ([("l", SYMLINK, "m"), ("m", SYMLINK, "n"), ("n", "1")], "l", "1"),
    "a hard link": ([("a/b", "1"), ("c", HARDLINK, "a/b")], "c", "1"),
    "a hard link, as its layer saw it": ([("b", "1"), ("c", HARDLINK, "b")], [("b", "2")], "c", "1"),
    "a file for a directory": ([("a/b", "1")], [("a", "2")], "a/b", None),
    "a link for a directory": ([("a/b", "1")], [("a", SYMLINK, "c"), ("c/b", "2")], "a/b", "2"),
    "a directory for a link": (
        [("c/b", "1"), ("a", SYMLINK, "c")], [("a", DIRECTORY, ""), ("a/d", "2")], "a/b", None,
    ),
    "a directory for a file, and its children": (
        [("a/b", "1")], [("a", "x")], [("a", DIRECTORY, "")], "a/b", None,
    ),
    "nothing": ([("a", "1")], "b", None),
    "below a file": ([("a", "1")], "a/b", None),
    "a link for a file": ([("d/f", "1"), ("d/g", "2")], [("d/f", SYMLINK, "g")], "d/f", "2"),
    "the directory again": ([("d/f", "1")], [("d", DIRECTORY, "")], "d/f", "1"),
    "whiteouts of like names": ([("d/f", "1")], [(".wh.dd", ""), ("d/.wh.ff", "")], "d/f", "1"),
    "a hard link for a file": ([("d/f", "1")], [("x", "2"), ("d/f", HARDLINK, "x")], "d/f", "2"),
    "a hard link to a layer below": ([("x", "1")], [("y", HARDLINK, "x")], "y", "1"),
    "a circle": ([("a", SYMLINK, "b"), ("b", SYMLINK, "a")], "a", None),
    "a directory": ([("a", DIRECTORY, "")], "a", None),
}  # fmt: skip


@pytest.mark.parametrize("case", SEEN)
def test_files_are_read_as_a_container_sees_them(case):
    """Whiteouts hide what is in layers below, and links are followed within the image."""
    *layers, path, expected = SEEN[case]
    files = files_of(*layers)
    if expected is None:
        assert files.follow(path) is None
    else:
        assert files.read(path) == expected.encode()


def test_a_directory_takes_the_place_of_a_link():
    """A layer that was made without merged /usr unmerges it, as in a container."""
    files = files_of(
        [("usr/lib/libc", "old"), ("lib", SYMLINK, "usr/lib")],
        [("lib", DIRECTORY, ""), ("lib/libc", "new")],
    )
    assert files.read("/lib/libc") == b"new"
    assert files.read("/usr/lib/libc") == b"old"


def test_a_directory_that_no_layer_lists_is_one():
    """A file below a link of a lower layer makes a directory of it, as container engines unpack it."""
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
    monkeypatch.setattr("prefect.oci.layers.files._MOST_KEPT", 100_000)
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


def test_one_layer_is_read_within_a_limit():
    """A layer that is or becomes larger is refused, without unpacking it further."""
    layer = layer_of(tar_of(("a/b", "1"), ("big", "x" * 50_000)))
    assert read_from_layer(layer, "/a/b", LIMIT) == b"1"
    assert read_from_layer(layer, "a", LIMIT) is None
    with pytest.raises(ImageContentError, match="more than 40000 bytes unpacked"):
        read_from_layer(layer, "a/b", 40_000)
    with pytest.raises(ImageContentError, match="at most 10 are read"):
        read_from_layer(layer, "a/b", 10)
    bomb = layer_of(tar_of(("a", "1"), ("zeros", b"\0" * (32 << 20))))
    with pytest.raises(ImageContentError, match="unpacked"):
        read_from_layer(bomb, "a", 1 << 20)


@pytest.mark.parametrize(
    "members",
    [
        [("a/b", "1"), ("a/b", "2")],
        [("a/b", "1"), ("./a//b", "2")],
        [("a/b", SYMLINK, "c")],
        [("a", SYMLINK, "c"), ("a/b", "1")],
        [("a/b", "1"), ("a", SYMLINK, "c")],
        [("a/b", DIRECTORY, "")],
    ],
)
def test_a_layer_that_is_read_in_two_ways_is_refused(members):
    """What is inspected must be what a container runs."""
    with pytest.raises(ImageContentError, match="something else"):
        read_from_layer(layer_of(tar_of(*members)), "a/b", LIMIT)


@given(st.data())
def test_a_changed_layer_gives_nothing(data):
    """One wrong byte anywhere, and no content is returned."""
    layer = layer_of(tar_of(("a", "1")), packing=data.draw(st.sampled_from(["", "gzip"])))
    raw = bytearray(content(image_of(layer))[0])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = replace(layer, blob=replace(layer.blob, open=lambda: io.BytesIO(raw)))
    with pytest.raises(ImageContentError):
        read_from_layer(changed, "a", LIMIT)
    with pytest.raises(ImageContentError):
        files_of(changed)

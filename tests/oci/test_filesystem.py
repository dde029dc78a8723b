"""`prefect.oci.filesystem`."""

import io
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from image_making import content, image_of, layer_of, tar_of

from prefect.errors import ImageContentError, ImageError
from prefect.oci.filesystem import find, read_file, read_from_layer
from prefect.oci.images import Layer

SYM, HARD, DIR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def stack(*layers):
    """Return an image whose layers have these members, from the base up."""
    return image_of(*(layer_of(tar_of(*members)) for members in layers))


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
    "a link": ([("bin", SYM, "usr/bin"), ("usr/bin/x", "1")], "bin/x", "1"),
    "a link of another layer": ([("usr/bin/x", "1")], [("bin", SYM, "/usr/bin")], "bin/x", "1"),
    "a relative link": ([("a/b/l", SYM, "../c"), ("a/c", "1")], "a/b/l", "1"),
    "a link above the root": ([("l", SYM, "../../../a"), ("a", "1")], "l", "1"),
    "links to links": ([("l", SYM, "m"), ("m", SYM, "n"), ("n", "1")], "l", "1"),
    "a hard link": ([("a/b", "1"), ("c", HARD, "a/b")], "c", "1"),
    "a hard link, as its layer saw it": ([("b", "1"), ("c", HARD, "b")], [("b", "2")], "c", "1"),
    "a file for a directory": ([("a/b", "1")], [("a", "2")], "a/b", None),
    "a link for a directory": ([("a/b", "1")], [("a", SYM, "c"), ("c/b", "2")], "a/b", "2"),
    "a directory for a link": (
        [("c/b", "1"), ("a", SYM, "c")], [("a", DIR, ""), ("a/d", "2")], "a/b", None,
    ),
    "a directory for a file, and its children": (
        [("a/b", "1")], [("a", "x")], [("a", DIR, "")], "a/b", None,
    ),
    "nothing": ([("a", "1")], "b", None),
    "below a file": ([("a", "1")], "a/b", None),
}  # fmt: skip


@pytest.mark.parametrize("case", SEEN)
def test_a_file_is_read_as_a_container_sees_it(case):
    """Whiteouts hide what is in layers below, and links are followed within the image."""
    *layers, path, expected = SEEN[case]
    image = stack(*layers)
    if expected is None:
        with pytest.raises(FileNotFoundError, match=path):
            read_file(image, path)
    else:
        assert read_file(image, path) == expected.encode()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("a", SYM, "a")], "too many links"),
        ([("a", SYM, "b"), ("b", SYM, "a")], "too many links"),
        ([("a", HARD, "a")], "too many links"),
        ([("a", DIR, "")], "a directory"),
        ([("a", tarfile.FIFOTYPE, "")], "an? other"),
        ([("a", "x" * 101)], "more than 100"),
        ([("a", "1"), ("a", "2")], "twice"),
    ],
)
def test_what_is_no_file_is_refused(members, words):
    """Loops, directories, pipes, large files, and what depends on who unpacks."""
    with pytest.raises(ImageContentError, match=words):
        read_file(stack(members), "a", limit=100)


def test_no_layer_is_read_below_the_one_that_has_the_file():
    """Inspection stays at the top; a layer that only an engine has matters when it is needed."""
    top = layer_of(tar_of(("a", "1")))
    image = replace(image_of(top), layers=(Layer("sha256:" + "0" * 64), top))
    assert read_file(image, "a") == b"1"
    with pytest.raises(ImageError, match="in an engine"):
        read_file(image, "b")


def test_one_layer_is_read_within_a_limit():
    """A layer that is or becomes larger is refused, without unpacking it further."""
    layer = layer_of(tar_of(("a/b", "1"), ("big", "x" * 50_000)))
    assert read_from_layer(layer, "/a/b") == b"1"
    assert read_from_layer(layer, "a") is None
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
        [("a/b", SYM, "c")],
        [("a", SYM, "c"), ("a/b", "1")],
        [("a/b", "1"), ("a", SYM, "c")],
        [("a/b", DIR, "")],
    ],
)
def test_a_layer_that_is_read_in_two_ways_is_refused(members):
    """What is inspected must be what a container runs."""
    with pytest.raises(ImageContentError, match="something else"):
        read_from_layer(layer_of(tar_of(*members)), "a/b")


@given(st.data())
def test_a_changed_layer_gives_nothing(data):
    """One wrong byte anywhere, and no content is returned."""
    layer = layer_of(tar_of(("a", "1")), packing=data.draw(st.sampled_from(["", "gzip"])))
    raw = bytearray(content(image_of(layer))[0])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    changed = replace(layer, blob=replace(layer.blob, open=lambda: io.BytesIO(raw)))
    for read in (read_from_layer, lambda layer, path: read_file(image_of(layer), path)):
        with pytest.raises((ImageContentError, FileNotFoundError)):
            read(changed, "a")


def test_paths_are_found_as_a_container_sees_them():
    """Across layers, without what whiteouts and files for directories hide."""
    image = stack(
        [("lib/python3.11/os.py", "1"), ("lib/python3.10/os.py", "1"), ("opt/x/os.py", "1")],
        [("lib/.wh.python3.10", ""), ("opt/x", SYM, "/lib"), ("usr/os.py", "1")],
        [("usr/.wh..wh..opq", ""), ("usr/new/os.py", "2")],
    )
    assert find(image, "*/os.py") == ["lib/python3.11/os.py", "usr/new/os.py"]
    assert find(image, "opt/*") == ["opt/x"]

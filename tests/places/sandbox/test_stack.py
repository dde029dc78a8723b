"""`prefect.places.sandbox.stack` and `.merging`: what layers on top of each other show."""

import contextlib
import io
import json
import stat
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_making import layer_of, tar_of

from prefect.errors import ImageContentError
from prefect.oci.cache.store import Store
from prefect.places.sandbox import entering
from prefect.places.sandbox.merging import merge
from prefect.places.sandbox.stack import Stack
from prefect.places.sandbox.trees import Trees

# What a Python without this package says of a directory: the path, kind, permissions, content.
LISTING = """
import json, os, stat, sys
found = {}
for top, directories, files in os.walk(sys.argv[1]):
    for name in directories + files:
        path = os.path.join(top, name)
        try:
            status = os.lstat(path)
        except FileNotFoundError:  # an overlay lists what hides nothing, and has it not
            continue
        kind = stat.S_IFMT(status.st_mode)
        content = os.readlink(path) if stat.S_ISLNK(kind) else open(path).read() if stat.S_ISREG(kind) else ""
        found[os.path.relpath(path, sys.argv[1])] = [kind, status.st_mode & 0o7777, content]
print(json.dumps(found))
"""


def stack_of(directory: Path, *layers) -> Stack:
    """Unpack layers of members as `tar_of` takes them, from the base up."""
    store = Store(directory / "cache")
    made = [layer_of(tar_of(*members)) for members in layers]
    return Stack(Trees(store, contextlib.ExitStack()).provide(made, print))


def test_upper_layers_hide_lower_ones(tmp_path):
    """Files are replaced and removed, directories merged, closed or replaced."""
    stack = stack_of(
        tmp_path,
        [("etc/a", b"old"), ("etc/b", b"b"), ("opt/x/y", b"y"), ("var/log/z", b"z"), ("lib", b"f")],
        [("etc/a", b"new"), ("etc/.wh.b", b""), ("opt/.wh..wh..opq", b""), ("opt/w", b"w"),
         (".wh.var", b""), ("lib/c", b"c")],
    )  # fmt: skip
    assert stack.read("/etc/a", 100) == b"new"
    assert stack.read("/opt/w", 100) == b"w"
    assert stack.read("/lib/c", 100) == b"c"
    for path in ("/etc/b", "/opt/x", "/opt/x/y", "/var", "/var/log/z"):
        assert stack.find(path) is None
    assert stack.read("/etc", 100) is None


def test_links_are_followed_within_the_image(tmp_path):
    """Absolute ones start at the image's root, and none leads above it."""
    stack = stack_of(
        tmp_path,
        [("usr/bin/python", b"#!"), ("bin", tarfile.SYMTYPE, "usr/bin"), ("up", tarfile.SYMTYPE, "../../../etc"),
         ("etc/passwd", b"theirs"), ("loop", tarfile.SYMTYPE, "loop"), ("run", tarfile.SYMTYPE, "/nowhere/else")],
    )  # fmt: skip
    assert stack.resolve("/bin/python") == "/usr/bin/python"
    assert stack.resolve("/up/passwd") == "/etc/passwd"
    assert stack.resolve("/run/secrets") == "/nowhere/else/secrets"
    assert stack.resolve("../../new//dir/./x") == "/new/dir/x"
    assert stack.read("/up/passwd", 3) == b"the"
    assert stack.find("/bin/python") is None  # through directories alone
    with pytest.raises(ImageContentError, match="without an end"):
        stack.resolve("/loop")


def test_a_layer_that_closes_the_root_hides_all_below_it(tmp_path):
    """As if it were the base."""
    stack = stack_of(tmp_path, [("a", b"a")], [(".wh..wh..opq", b""), ("b", b"b")])
    assert stack.find("/a") is None
    assert stack.read("/b", 9) == b"b"
    assert len(stack.trees) == 1


def test_a_directory_that_a_layer_does_not_list_keeps_its_permissions(tmp_path):
    """As a layer with a file in /tmp does not say what /tmp is."""
    (tmp_path / "cache").mkdir(mode=0o700)
    store = Store(tmp_path / "cache")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo("tmp")
        info.type, info.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(info)
    layers = [layer_of(buffer.getvalue()), layer_of(tar_of(("tmp/x", b"x"), ("opt/y", b"y")))]
    trees = Trees(store, contextlib.ExitStack()).provide(layers, print)
    assert Stack(trees).unlisted_modes() == {"tmp": 0o1777}
    (merged := tmp_path / "merged").mkdir()
    merge(Stack(trees), merged, [])
    assert stat.S_IMODE((merged / "tmp").stat().st_mode) == 0o1777


names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
members = st.one_of(
    st.tuples(paths, st.binary(max_size=3).map(bytes.hex).map(str.encode)),
    st.tuples(paths, st.just(tarfile.SYMTYPE), names),
    st.tuples(paths, st.just(tarfile.DIRTYPE), st.just("")),
    paths.map(lambda path: (f"{path}/.wh..wh..opq", b"")),
    st.builds(lambda path, name: (f"{path}/.wh.{name}", b""), paths, names),
)


@pytest.mark.services
@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(members, max_size=6), min_size=1, max_size=4))
def test_a_merged_tree_is_what_the_kernel_shows(layers):
    """Of any layers, the tree of links and the stack say the same as a real overlay of them."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        try:
            stack = stack_of(directory, *layers)
        except ImageContentError:  # through a link of its own
            return
        (merged := directory / "merged").mkdir()
        merge(stack, merged, [])
        mount = directory / "mount"
        mount.mkdir()
        layers = entering.Layers(
            mount, [str(tree.path) for tree in stack.trees], stack.unlisted_modes()
        )
        command = entering.overlay(layers, [sys.executable, "-c", LISTING, str(layers.merged)])
        shown = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=merged
        ).stdout
        linked = subprocess.run(
            [sys.executable, "-c", LISTING, str(merged)], check=True, capture_output=True, text=True
        ).stdout
        assert json.loads(shown) == json.loads(linked)
        for path, (kind, _, _) in json.loads(shown).items():
            found = stack.find(path)
            assert found is not None
            assert stat.S_IFMT(found.status.st_mode) == kind

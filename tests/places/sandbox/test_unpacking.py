"""`prefect.places.sandbox.unpacking`: layers of people who are not trusted, written to disk."""

import contextlib
import gzip
import io
import os
import stat
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_making import layer_of, tar_of

from prefect.errors import ImageContentError
from prefect.oci.images import OCI_LAYER, Layer, blob_of
from prefect.places.sandbox import unpacking
from prefect.places.sandbox.trees import OPAQUE
from prefect.places.sandbox.unpacking import unpack

DIRECTORY, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture
def outside(tmp_path) -> Path:
    """A directory beside the one that is unpacked into, with one file."""
    made = tmp_path / "outside"
    made.mkdir()
    (made / "file").write_text("the user's")
    return made


def unpacked(tmp_path, *members, **files):
    """Unpack a layer of members as `tar_of` takes them; return where, and what was told."""
    target = tmp_path / "tree"
    target.mkdir()
    return target, unpack(layer_of(tar_of(*members, **files)), target)


def names(directory: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(each.name for each in directory.iterdir())


def info(name: str, **fields) -> tarfile.TarInfo:
    """Return a member with the fields of a tar archive's header."""
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def layer_with(*members: tuple[tarfile.TarInfo, bytes] | tarfile.TarInfo) -> Layer:
    """Return a layer of members, as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            one, content = member if isinstance(member, tuple) else (member, b"")
            one.size = len(content)
            tar.addfile(one, io.BytesIO(content))
    return layer_of(buffer.getvalue())


def test_files_links_and_directories_are_as_the_layer_has_them(tmp_path):
    """Content, permissions, times, symbolic and hard links, names of any bytes."""
    name = b"caf\xe9".decode(errors="surrogateescape")
    layer = layer_with(
        info("etc", type=DIRECTORY, mode=0o750, mtime=1000),
        (info("etc/motd", mode=0o640, mtime=2000), b"hello"),
        info("etc/link", type=LINK, linkname="/usr/bin/true"),
        info("etc/hard", type=HARD, linkname="etc/motd"),
        (info(f"/opt/{name}"), b"bytes"),
    )
    (target := tmp_path / "tree").mkdir()
    told = unpack(layer, target)
    assert (target / "etc/motd").read_text() == "hello"
    status = (target / "etc/motd").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_nlink) == (0o640, 2000, 2)
    assert stat.S_IMODE((target / "etc").stat().st_mode) == 0o750
    assert (target / "etc").stat().st_mtime == 1000
    assert (target / "etc/link").readlink() == Path("/usr/bin/true")
    assert [os.fsencode(each) for each in names(target / "opt")] == [b"caf\xe9"]
    assert told["implied"] == ["opt"]


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([("../outside/file", b"x")], id="upwards"),
        pytest.param([("a/../../outside/file", b"x")], id="upwards-later"),
        pytest.param([("out", LINK, "{outside}"), ("out/file", b"x")], id="through-a-link"),
        pytest.param([("out", LINK, "../outside"), ("out/file", b"x")], id="through-a-relative-link"),
        pytest.param(
            [("a/b", LINK, "../../outside"), ("a/b/file", b"x")], id="through-a-link-further-down"
        ),
        pytest.param(
            [("x", LINK, "{outside}"), ("y", LINK, "x"), ("y/file", b"x")], id="through-two-links"
        ),
        pytest.param([("h", HARD, "{outside}/file")], id="hard-link-to-outside"),
        pytest.param([("h", HARD, "../outside/file"), ("h", b"x")], id="hard-link-upwards"),
        pytest.param(
            [("out", LINK, "{outside}"), ("h", HARD, "out/file")], id="hard-link-through-a-link"
        ),
        pytest.param([("out", LINK, "{outside}"), ("out/.wh.file", b"")], id="whiteout-through-a-link"),
        pytest.param([("out", LINK, "{outside}"), ("out/d", DIRECTORY, "")], id="directory-through"),
        pytest.param([("a/.wh..", b"")], id="whiteout-of-itself"),
        pytest.param([("a/.wh...", b"")], id="whiteout-of-what-is-above"),
        pytest.param([("h", HARD, "h")], id="hard-link-to-itself"),
        pytest.param([("h", HARD, "nowhere")], id="hard-link-to-nothing"),
        pytest.param([("d", DIRECTORY, ""), ("h", HARD, "d")], id="hard-link-to-a-directory"),
        pytest.param([("n" * 300, b"x")], id="name-too-long"),
        pytest.param([("/".join("d" * 300), b"x")], id="too-deep"),
    ],
)  # fmt: skip
def test_what_would_lead_outside_is_refused(tmp_path, outside, members):
    """Nothing outside of the directory is written, linked or removed, and the layer is refused."""
    members = [tuple(part.format(outside=outside) if isinstance(part, str) else part for part in each)
               for each in members]  # fmt: skip
    with pytest.raises(ImageContentError, match="cannot be unpacked"):
        unpacked(tmp_path, *members)
    assert names(outside) == ["file"]
    status = (outside / "file").stat()
    assert (outside / "file").read_text() == "the user's"
    assert status.st_nlink == 1


def test_absolute_names_are_taken_from_the_root_of_the_image(tmp_path, outside):
    """A leading slash, or several, leads nowhere else."""
    target, _ = unpacked(tmp_path, (f"/{outside}/file", b"theirs"), ("./a//b/./c", b"x"))
    assert (outside / "file").read_text() == "the user's"
    assert (target / str(outside).lstrip("/") / "file").read_text() == "theirs"
    assert (target / "a/b/c").read_text() == "x"


def test_what_is_there_twice_is_what_came_last(tmp_path, outside):
    """Files over directories, directories over links and files, links over anything."""
    target, _ = unpacked(
        tmp_path,
        ("a", b"first"), ("a", b"second"),
        ("d/x", b"x"), ("d", b"a file now"),
        ("f", b"f"), ("f", DIRECTORY, ""), ("f/y", b"y"),
        ("l", LINK, str(outside)), ("l", DIRECTORY, ""), ("l/file", b"theirs"),
        ("m", DIRECTORY, ""), ("m/n/o", b"o"), ("m", LINK, str(outside)),
        ("t", LINK, f"{outside}/file"), ("t", b"theirs"),
    )  # fmt: skip
    assert (target / "a").read_text() == "second"
    assert (target / "d").read_text() == "a file now"
    assert (target / "f/y").read_text() == "y"
    assert (target / "l/file").read_text() == "theirs"
    assert (target / "m").is_symlink()
    assert (target / "t").read_text() == "theirs"
    assert (outside / "file").read_text() == "the user's"
    assert names(outside) == ["file"]


def test_devices_pipes_and_bits_that_give_rights_are_left_out(tmp_path):
    """What is unpacked gives nobody rights, inside or outside of a sandbox."""
    layer = layer_with(
        info("dev/sda", type=tarfile.BLKTYPE, devmajor=8, mode=0o666),
        info("dev/mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1, mode=0o666),
        info("pipe", type=tarfile.FIFOTYPE),
        (info("su", mode=0o6755), b"#!"),
        info("shared", type=DIRECTORY, mode=0o7777),
        info("closed", type=DIRECTORY, mode=0),
        (info("closed/unreadable", mode=0), b"x"),
    )
    (target := tmp_path / "tree").mkdir()
    unpack(layer, target)
    assert names(target) == ["closed", "shared", "su"]
    assert stat.S_IMODE((target / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "shared").stat().st_mode) == 0o3777
    assert stat.S_IMODE((target / "closed").stat().st_mode) == 0o700  # its owner must remove it
    assert stat.S_IMODE((target / "closed/unreadable").stat().st_mode) == 0o400


def test_what_is_removed_is_marked_as_overlays_have_it(tmp_path):
    """A whiteout is a device that nobody has, and an opaque directory has an attribute."""
    target, told = unpacked(
        tmp_path, ("a/.wh.gone", b""), ("b/.wh..wh..opq", b""), ("b/new", b"x"),
        ("c/.wh.both", b""), ("c/both/file", b"x"), ("d/.wh.kept", b""), ("d/kept", b"x"),
        (".wh..wh.plnk", b""),
    )  # fmt: skip
    status = (target / "a/gone").lstat()
    assert stat.S_ISCHR(status.st_mode)
    assert status.st_rdev == 0
    assert os.getxattr(target / "b", OPAQUE) == b"y"
    # It hides what is below, and not what the same layer puts there.
    assert os.getxattr(target / "c/both", OPAQUE) == b"y"
    assert (target / "d/kept").read_text() == "x"
    assert names(target) == ["a", "b", "c", "d"]
    assert told["marked"]
    assert told["removed"] == told["opaque"] == []


def test_where_marks_cannot_be_made_they_are_told(tmp_path, monkeypatch):
    """As without a kernel's leave: what is removed is known all the same."""

    def refuse(*_, **__):
        raise PermissionError(1, "no devices here")

    monkeypatch.setattr(os, "mknod", refuse)
    _, told = unpacked(tmp_path, ("a/.wh.gone", b""), ("b/.wh..wh..opq", b""))
    assert (told["marked"], told["removed"], told["opaque"]) == (False, ["a/gone"], ["b"])


def test_a_layer_that_is_not_what_its_digests_say_is_refused(tmp_path):
    """The digest of what it unpacks to, and that of its bytes."""
    tar = tar_of(("a", b"x"))
    other = tar_of(("a", b"y"))
    for number, layer in enumerate(
        (
            Layer(layer_of(other).diff_id, blob_of(gzip.compress(tar), f"{OCI_LAYER}+gzip")),
            Layer(layer_of(other).diff_id, blob_of(tar, OCI_LAYER)),
        )
    ):
        (target := tmp_path / str(number)).mkdir()
        with pytest.raises(ImageContentError, match="unpacks to"):
            unpack(layer, target)


def test_what_grows_without_end_is_refused(tmp_path, monkeypatch):
    """A small archive of something huge, and one of far too many files."""
    monkeypatch.setattr(unpacking, "_SMALL", 1 << 20)
    monkeypatch.setattr(unpacking, "_RATIO", 10)
    with pytest.raises(ImageContentError, match="more than"):
        unpacked(tmp_path, ("zeros", bytes(3 << 20)))
    monkeypatch.setattr(unpacking, "_MOST", 20)
    (target := tmp_path / "many").mkdir()
    with pytest.raises(ImageContentError, match="more than 20 files"):
        unpack(layer_of(tar_of(*((f"d{n}/f", b"x") for n in range(15)))), target)


def test_a_sparse_file_is_refused(tmp_path):
    """What it stands for is not in the archive as it is."""
    made = info("sparse")
    made.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "sparse"}
    (target := tmp_path / "tree").mkdir()
    with pytest.raises(ImageContentError, match="sparse"):
        unpack(layer_with((made, b"x")), target)


pieces = st.sampled_from(["a", "b", "..", ".", "", "out", ".wh.a", ".wh..wh..opq", "file"])
paths = st.lists(pieces, min_size=1, max_size=4).map("/".join).filter(lambda path: path.strip("/"))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_layer_leads_outside(data):
    """Whatever stands in it: it is unpacked or refused, and all else stays as it is."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (outside := base / "outside").mkdir()
        (outside / "file").write_text("the user's")
        links = st.one_of(paths, st.sampled_from([str(outside), "../outside", "..", "/"]))
        member = st.one_of(
            st.tuples(paths, st.just(b"theirs")),
            st.tuples(paths, st.sampled_from([LINK, HARD]), links),
            st.tuples(paths, st.just(DIRECTORY), st.just("")),
        )
        members = data.draw(st.lists(member, min_size=1, max_size=8))
        (tree := base / "tree").mkdir()
        with contextlib.suppress(ImageContentError):
            unpack(layer_of(tar_of(*members)), tree)
        assert names(base) == ["outside", "tree"]
        assert names(outside) == ["file"]
        assert (outside / "file").read_text() == "the user's"
        assert (outside / "file").stat().st_nlink == 1


def test_unpacking_ends_soon_where_nobody_wants_it_any_more(tmp_path):
    """As after Ctrl-C: not a file more is written."""
    wanted = iter([True, False])
    layer = layer_of(tar_of(a=b"1", b=b"2", c=b"3"))
    with pytest.raises(InterruptedError):
        unpack(layer, tmp_path, lambda: next(wanted))
    assert names(tmp_path) == ["a"]

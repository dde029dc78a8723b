"""`prefect.payload.attachments`."""

import hashlib
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import ArtifactError, FormatError, IncludeError
from prefect.payload.attachments import Attachment, attachments, contents, listed, pack, unpack

NAMES = st.from_regex(r"[a-c]{1,3}(/[d-f]{1,3}){0,2}\.x", fullmatch=True)


def written(directory, files):
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return [Attachment.of(directory / path, path) for path in files]


def packed(files):
    pieces = []
    pack(files, pieces.append)
    return b"".join(pieces)


@settings(deadline=None)  # directories are made
@given(files=st.dictionaries(NAMES, st.binary(max_size=50), max_size=6), size=st.integers(1, 40))
def test_what_is_packed_comes_out_as_it_was(tmp_path_factory, files, size):
    """Whatever the files, and in whatever pieces their contents come."""
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    found = attachments(json.loads(json.dumps(listed(written(here, files)))))
    data = packed(written(here, files))
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    unpack(found, pieces, there)
    assert {one.path: (there / one.path).read_bytes() for one in found} == files


def test_a_content_travels_once(tmp_path):
    """Two files of one content need one, and come out with their own permissions."""
    files = written(tmp_path, {"a": b"x" * 1000, "b/c": b"x" * 1000})
    (tmp_path / "a").chmod(0o755)
    files[0] = Attachment.of(tmp_path / "a", "a")
    assert len(contents(files)) == 1
    data = packed(files)
    assert zlib.decompress(data) == b"x" * 1000
    (tmp_path / "out").mkdir()
    unpack(files, [data], tmp_path / "out")
    modes = {p: (tmp_path / "out" / p).stat().st_mode & 0o777 for p in ("a", "b/c")}
    assert modes == {"a": 0o500, "b/c": 0o400}


def test_some_of_the_files_come_out_alone(tmp_path):
    """What is not asked for is passed over, also where it has the content of what is."""
    files = written(tmp_path, {"a": b"x" * 100, "b": b"y", "c": b"x" * 100, "d": b"z" * 5})
    data = packed(files)
    (tmp_path / "out").mkdir()
    unpack(files, [data], tmp_path / "out", only={"c", "d"})
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        "c": b"x" * 100,
        "d": b"z" * 5,
    }


@pytest.mark.parametrize("data", [b"", b"ab", b"abcd", b"abx"])
def test_other_contents_than_are_listed_are_refused(tmp_path, data):
    """Too short, too long, or others."""
    one = Attachment("f", 3, hashlib.sha256(b"abc").hexdigest())
    with pytest.raises(ArtifactError, match="not those that its manifest lists"):
        unpack([one], [zlib.compress(data)], tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"no zlib", zlib.compress(b"abc")[:-1], zlib.compress(b"abc") + b"x"]
)
def test_what_is_no_whole_stream_is_refused(tmp_path, data):
    """Cut, followed by something, or never compressed."""
    one = Attachment("f", 3, hashlib.sha256(b"abc").hexdigest())
    with pytest.raises(ArtifactError):
        unpack([one], [data], tmp_path)


def test_a_bomb_is_not_unpacked(tmp_path):
    """A stream of more than is listed ends at the first piece too many."""
    bomb = zlib.compress(bytes(200 << 20))
    with pytest.raises(ArtifactError):
        unpack([Attachment("f", 3, "0" * 64)], [bomb], tmp_path)
    assert (tmp_path / "f").stat().st_size == 3


def test_a_file_that_changes_while_it_is_packed_is_refused(tmp_path):
    """What was described is what travels, or nothing."""
    files = written(tmp_path, {"a": b"before"})
    (tmp_path / "a").write_bytes(b"after!")
    with pytest.raises(ArtifactError, match="changed while it was packaged"):
        packed(files)


def test_a_name_that_not_every_system_has_is_refused(tmp_path):
    """Before anything is packaged."""
    (tmp_path / "a\nb").write_bytes(b"")
    with pytest.raises(IncludeError, match="Rename it"):
        Attachment.of(tmp_path / "a\nb", "a\nb")


def test_what_lists_no_files_is_refused():
    """More of them than anybody has, too."""
    for odd in (None, [], {str(n): {} for n in range(100_001)}):
        with pytest.raises(FormatError):
            attachments(odd)

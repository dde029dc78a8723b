"""`prefect.pyz`: one form of archive is written, and no other is read."""

import io
import struct
import warnings
import zipfile
import zlib

import pytest

from prefect.environments import PickleEnvironment
from prefect.errors import FormatError
from prefect.pyz.index import read_whole_index
from prefect.pyz.reading import SEALED, START, content, read_members
from prefect.pyz.writing import around, pack, packed_of
from prefect.sealed.source import opened_whole

FILES = {"__main__.py": b"print('executed')\n", "runtime/prefect/a.py": b"x = 1\n" * 99}


@pytest.fixture
def environment():
    """A key, and what it opens."""
    return PickleEnvironment()


def archive(sealed: bytes, files=FILES, release="1.0") -> bytes:
    """Return a file that runs by itself."""
    file = io.BytesIO()
    with around(file, pack(files, release)):
        file.write(sealed)
    return file.getvalue()


def members(data):
    """Return the members as they are read."""
    with opened_whole(data) as source:
        return read_members(source)


def index(data):
    """Return the index, compared with what it lists."""
    with opened_whole(data) as source:
        return read_whole_index(source)


def test_it_is_an_archive_for_everybody_and_the_same_for_the_same():
    """No time and no path is in it."""
    data = archive(b"sealed")
    assert data == archive(b"sealed", dict(reversed(FILES.items())))
    assert data.startswith(START)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        assert found.namelist() == [
            "__main__.py", "index.json", "runtime/prefect/a.py", "sealed.flow",
        ]  # fmt: skip
        assert found.read(SEALED) == b"sealed"
        assert {one.date_time for one in found.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert index(data).release == "1.0"


def test_the_sealed_flow_in_it_is_read_where_it_lies(environment, flow, tmp_path):
    """By all that reads sealed flows: from a path, from bytes, from an open file."""
    data = archive(environment.build(flow))
    (tmp_path / "etl.pyz").write_bytes(data)
    with (tmp_path / "etl.pyz").open("rb") as file:
        for source in (data, tmp_path / "etl.pyz", file):
            assert environment.info(source)["name"] == flow.name
            assert environment.run(source, parameters={"n": 3}).is_successful()


def test_what_is_rewrapped_out_of_it_is_the_sealed_flow(environment, flow):
    """Which any key of the new ones opens."""
    data = archive(environment.build(flow))
    assert PickleEnvironment(environment.encryption_key).info(environment.rewrap(data))


def test_another_sealed_flow_takes_its_place_with_all_else_byte_for_byte():
    """As signing and rewrapping have it."""
    data = archive(b"first")
    file = io.BytesIO()
    with opened_whole(data) as source, around(file, packed_of(source)):
        file.write(b"second, and longer")
    assert file.getvalue() == archive(b"second, and longer")


def changed(data, old, new, count=1):
    """Return bytes with others in the place of some."""
    assert data.count(old) >= count
    return data.replace(old, new, count)


def at_end(data, offset, form, value):
    """Return an archive with another value in its last record."""
    start = len(data) - 22 + offset
    return data[:start] + struct.pack(form, value) + data[start + struct.calcsize(form) :]


def zipped(*names, **kinds):
    """Return a well-formed archive of another form, behind the line of ours."""
    file = io.BytesIO(START[:-4])
    file.seek(0, 2)
    with warnings.catch_warnings(), zipfile.ZipFile(file, "a", **kinds) as made:
        warnings.simplefilter("ignore")  # of a name that is there already
        for name in names:
            made.writestr(zipfile.ZipInfo(name), b"content")
    return file.getvalue()


OURS = ("__main__.py", "index.json", "sealed.flow")
HOSTILE = {
    "cut off": lambda data: data[:-1],
    "within a member": lambda data: data[: len(data) // 2],
    "only its beginning": lambda data: data[:60],
    "something behind it": lambda data: data + b"\0",
    "a comment": lambda data: at_end(data, 20, "<H", 1) + b"c",
    "no members": lambda data: at_end(data, 10, "<H", 0),
    "another number of members": lambda data: at_end(data, 10, "<H", 3),
    "most members": lambda data: at_end(data, 10, "<H", 65535),
    "a directory elsewhere": lambda data: at_end(data, 16, "<I", 5),
    "a large directory": lambda data: at_end(data, 12, "<I", 0xFFFFFFF0),
    "a name twice": lambda _: zipped("__main__.py", "__main__.py", "index.json", "sealed.flow"),
    "no main": lambda _: zipped("index.json", "sealed.flow"),
    "nothing sealed": lambda _: zipped("__main__.py", "index.json"),
    "another order": lambda _: zipped("index.json", "__main__.py", "sealed.flow"),
    "outside": lambda _: zipped("../a", *OURS),
    "an absolute path": lambda _: zipped("/a", *OURS),
    "a directory": lambda _: zipped("a/", *OURS),
    "not ASCII": lambda _: zipped("ä", *OURS),
    "other times or rights": lambda _: zipped(*OURS),
    "another name in the directory": lambda data: changed(data[::-1], b"a.py"[::-1], b"b.py"[::-1])[
        ::-1
    ],
    "packed in another way": lambda _: zipped(*OURS, compression=zipfile.ZIP_BZIP2),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_no_other_form_is_read(change):
    """Whatever another reader would make of it."""
    with pytest.raises(FormatError):
        index(change(archive(b"sealed")))


def test_what_overlaps_or_leaves_a_gap_is_refused():
    """Each member begins where the one before ends."""
    data = archive(b"sealed")
    for old, found in members(data).items():
        if found.offset > len(START):
            entry = found.entry()
            for shift in (-1, 1):
                other = found._replace(offset=found.offset + shift).entry()
                with pytest.raises(FormatError):
                    members(data.replace(entry, other))
        assert old == found.name


def test_a_bomb_is_not_unpacked():
    """What says to be small and is not, and what says to be larger than any."""
    data = archive(b"sealed", FILES | {"runtime/bomb.py": bytes(1 << 20)})
    bomb = members(data)["runtime/bomb.py"]
    small = bomb._replace(size=10)
    told = data.replace(bomb.entry(), small.entry()).replace(bomb.header(), small.header())
    with opened_whole(told) as source, pytest.raises(FormatError, match="damaged"):
        content(source, read_members(source)["runtime/bomb.py"])
    large = bomb._replace(size=(64 << 20) + 1)
    with pytest.raises(FormatError, match="larger than what runs one"):
        members(data.replace(bomb.entry(), large.entry()))


def test_a_member_of_other_bytes_is_found_by_the_index():
    """And one whose header is another than the directory says, by whoever reads it."""
    data = archive(b"sealed")
    other = archive(b"sealed", FILES | {"runtime/prefect/a.py": b"x = 2\n" * 99})
    ours, theirs = members(data)["index.json"], members(other)["index.json"]
    assert ours.size == theirs.size
    found = io.BytesIO()
    with opened_whole(data) as one, opened_whole(other) as two:
        mixed = [
            mine if mine.name == "index.json" else new
            for mine, new in zip(packed_of(one), packed_of(two), strict=True)
        ]
    with around(found, mixed):
        found.write(b"sealed")
    with pytest.raises(FormatError, match="not what its index says"):
        index(found.getvalue())


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"files":{},"format":1,"prefect":"1"}', b"[" * 9999, b"\xff"]
)
def test_an_index_that_is_none_is_refused(text):
    """Whatever stands there."""
    with opened_whole(archive(b"sealed")) as source:
        clear = packed_of(source)
    found = io.BytesIO()
    other = [
        one._replace(method=0, crc=zlib.crc32(text), size=len(text), data=text)
        if one.name == "index.json"
        else one
        for one in clear
    ]
    with around(found, other):
        found.write(b"sealed")
    with pytest.raises(FormatError):
        index(found.getvalue())

"""`prefect.oci.layers.tar`."""

import contextlib
import io
import random
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_making import names, tar_of

from prefect.errors import ImageContentError
from prefect.oci.layers.tar import TarReader


class Stream(io.RawIOBase):
    """Bytes that can be read once, from their beginning to their end."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._file.readinto(buffer)


def both(data: bytes):
    """Read an archive as a file and as a stream, which see the same."""
    found = []
    for file in (io.BytesIO(data), io.BufferedReader(Stream(data))):
        reader = TarReader(file)
        found.append([(m, b"".join(iter(reader.read, b""))) for m in reader])
        assert [m for m, _ in found[-1]] == list(TarReader(io.BytesIO(data)))  # contents skipped
    assert found[0] == found[1]
    return found[0]


@settings(max_examples=80, deadline=None)
@given(
    tree=st.dictionaries(names, st.binary(max_size=2000), max_size=5),
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_what_tarfile_writes_is_read(tree, form):
    """Names of any length and script, in pax and in GNU's format, with their contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, content in tree.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            link = tarfile.TarInfo(f"{name}-link")
            link.type, link.linkname = tarfile.SYMTYPE, name
            tar.addfile(link)
    found = both(buffer.getvalue())
    assert {m.path: data for m, data in found if m.kind == "file"} == tree
    assert {(m.path, m.link) for m, _ in found if m.kind == "symlink"} == {
        (f"{name}-link", name) for name in tree
    }


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_archive_is_no_crash(seed):
    """Whatever bytes change: members, or our error."""
    dice = random.Random(seed)
    data = bytearray(tar_of(("x" * 150, "1"), ("é", "2"), ("l", tarfile.SYMTYPE, "y" * 120)))
    for _ in range(dice.randrange(1, 4)):
        place = dice.randrange(len(data))
        data[place] = dice.randrange(256)
        # A checksum that fits lets the change through to what parses the fields.
        start = place - place % 512
        header = data[start : start + 512]
        total = sum(header) - sum(header[148:156]) + 256
        data[start + 148 : start + 156] = b"%06o\0 " % total
    with contextlib.suppress(ImageContentError):
        both(bytes(data))


def header(size: bytes = b"0", kind: bytes = b"0", name: bytes = b"a") -> bytes:
    block = bytearray(tarfile.TarInfo("a").tobuf())
    block[0:100] = name.ljust(100, b"\0")
    block[124:136] = size.ljust(12, b"\0")
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(data: bytes, kind: bytes = b"x") -> bytes:
    return header(b"%o" % len(data), kind) + data + bytes(-len(data) % 512)


HOSTILE = {
    "a negative size": header(b"\xff" * 12),
    "an enormous size": header(b"\x80" + b"\x7f" * 11),
    "a size with a sign": header(b"-1"),
    "a size with an underscore": header(b"1_0"),
    "a size of more than there is": header(b"7777777"),
    "no name": header(name=b""),
    "an extended header of a gigabyte": header(b"10000000000", b"x"),
    "a long name of a gigabyte": header(b"10000000000", b"L"),
    "an extended header without a member": pax(b"9 path=b\n"),
    "an extended header without a length": pax(b"path=b\n") + header(),
    "an extended header of a wrong length": pax(b"99 path=b\n") + header(),
    "an extended header of no length": pax(b"0 path=b\n") + header(),
    "an extended size that is none": pax(b"10 size=1a\n") + header(),
    "a zero in a path": pax(b"11 path=b\0c\n") + header(),
    "a path that is far too long": pax(b"5008 path=%s\n" % (b"a/" * 2498 + b"b")) + header(),
    "a link that is far too long": pax(b"5012 linkpath=%s\n" % (b"a/" * 2498 + b"b")) + header(),
    "extended headers of some megabytes": pax(b"600008 a=%s\n" % bytes(599_998)) * 2 + header(),
    "a path for all": pax(b"9 path=b\n", b"g") + header(),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_header_is_refused(case):
    """Sizes are not believed, nothing large is read into memory, nothing is guessed at."""
    for file in (io.BytesIO(HOSTILE[case]), io.BufferedReader(Stream(HOSTILE[case]))):
        reader = TarReader(file)
        with pytest.raises(ImageContentError):
            for _ in reader:
                pass


def test_odd_archives_of_honest_people_are_read():
    """Comments for all members, a missing end, sparse files, directories of before POSIX."""
    comment = pax(b"13 comment=x\n", b"g")
    sparse = bytearray(header(b"1", b"S", b"holes"))
    sparse[482] = 1
    sparse[148:156] = b" " * 8
    sparse[148:156] = b"%06o\0 " % sum(sparse)
    data = comment + bytes(sparse) + bytes(512) + b"x".ljust(512, b"\0")
    data += header(kind=b"\0", name=b"directory/") + header(b"7", b"2", b"link") + header()
    found = [(m.path, m.kind, content) for m, content in both(data)]
    assert found == [
        ("holes", "sparse", b"x"),
        ("directory/", "directory", b""),
        ("link", "symlink", b""),
        ("a", "file", b""),
    ]

"""`prefect.sealed.writing`."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import ArtifactError, FormatError, SignaturePolicyError
from prefect.sealed import writing as sealed_writer
from prefect.sealed.format import MAGIC
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey
from prefect.sealed.reading import open_sealed, outline
from prefect.sealed.source import PIECE_BYTES
from prefect.sealed.writing import SealedWriter, seal

KEY = EncryptionKey(b"k" * 32)
IDENTITY, SIGNING_KEY = Identity.generate(), SigningKey.generate()


@given(st.lists(st.binary(max_size=40_000), max_size=6))
@settings(max_examples=40, deadline=None)
def test_pieces_of_any_size_make_one_payload(pieces):
    """However a payload comes, in pieces of whatever type, it is the same payload."""
    file = io.BytesIO()
    writer = SealedWriter(file, b"{}", KEY)
    for kind, piece in zip((bytes, bytearray, memoryview) * 2, pieces, strict=False):
        assert writer.write(kind(piece)) == len(piece)
    writer.finish()
    assert open_sealed(file.getvalue(), KEY).payload == b"".join(pieces)


@pytest.mark.parametrize("size", [PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 1])
def test_a_large_piece_is_cut_up(size):
    """One write of many MiB is encrypted in pieces."""
    file = io.BytesIO()
    writer = SealedWriter(file, b"{}", KEY)
    writer.write(b"x" * size)
    writer.finish()
    assert open_sealed(file.getvalue(), KEY).payload == b"x" * size


def test_a_file_is_no_sealed_flow_before_it_is_finished():
    """What was left half-written has no magic line, whatever follows it."""
    file = io.BytesIO()
    SealedWriter(file, b"{}", KEY).write(b"x" * 100_000)
    with pytest.raises(FormatError, match="not a sealed flow"):
        outline(file.getvalue())


def test_a_file_is_written_from_where_it_stands():
    """What stands before it stays, and the file stands at its end afterwards."""
    file = io.BytesIO(b"before")
    file.seek(6)
    SealedWriter(file, b"{}", KEY).finish()
    assert file.tell() == len(file.getvalue())
    assert file.getvalue().startswith(b"before")
    assert open_sealed(file.getvalue()[6:], KEY).payload == b""


def test_what_no_reader_would_take_is_not_written(monkeypatch):
    """A section above the format's limit is an error that names it, before the header is there."""
    monkeypatch.setattr(sealed_writer, "MAX_SECTION_BYTES", {
        "manifest": 1000, "payload": 2000, "files": 3000, "wheels": 4000,
    })  # fmt: skip
    with pytest.raises(ArtifactError, match=r"no manifest above 256 MiB.* 1072 bytes"):
        SealedWriter(io.BytesIO(), b"x" * 1000, KEY)
    file = io.BytesIO()
    writer = SealedWriter(file, b"", KEY)
    writer.write(b"x" * 2000)
    with pytest.raises(ArtifactError, match=r"no payload above 1 TiB.* 2072 bytes"):
        writer.finish()
    assert file.getvalue().startswith(b"\0")
    writer = SealedWriter(io.BytesIO(), b"", KEY, further=["files", "wheels"])
    writer.write(b"x" * 1900)
    writer.begin("files")
    writer.write(b"x" * 3000)
    with pytest.raises(ArtifactError, match="no files above 1 TiB"):
        writer.begin("wheels")
    writer = SealedWriter(io.BytesIO(), b"", KEY, further=["wheels"])
    writer.begin("wheels")
    writer.write(b"x" * 4000)
    with pytest.raises(ArtifactError, match="no wheels above 1 TiB"):
        writer.finish()


@pytest.mark.parametrize(
    "further", [["wheels", "files"], ["files", "files"], ["data"], ["payload"], ["manifest"]]
)
def test_other_further_sections_are_a_mistake(further):
    """The names and their order are the format's."""
    with pytest.raises(ValueError, match="files, wheels"):
        SealedWriter(io.BytesIO(), b"", KEY, further=further)


def test_each_further_section_is_begun_once_and_in_order():
    """To begin another, to begin one again and to leave one out are said, and write no header."""
    file = io.BytesIO()
    writer = SealedWriter(file, b"", KEY, further=["files", "wheels"])
    for name in ("wheels", "payload", "manifest"):
        with pytest.raises(ValueError, match="next section is 'files'"):
            writer.begin(name)
    writer.begin("files")
    with pytest.raises(ValueError, match="next section is 'wheels'"):
        writer.begin("files")
    with pytest.raises(ValueError, match="'wheels', was not begun"):
        writer.finish()
    assert file.getvalue().startswith(b"\0")
    writer.begin("wheels")
    with pytest.raises(ValueError, match="next section is none"):
        writer.begin("wheels")
    writer.finish()
    assert list(outline(file.getvalue()).further_bytes) == ["files", "wheels"]


def test_a_flow_alone_is_written_as_version_1():
    """Without further sections nothing differs from what older releases read."""
    file = io.BytesIO()
    SealedWriter(file, b"{}", KEY).finish()
    assert file.getvalue().startswith(MAGIC)
    assert b'"name"' not in file.getvalue()


def test_recipients_without_a_signing_key_are_refused():
    """Sealing says so before it begins."""
    for keys in (IDENTITY.recipient, [KEY, IDENTITY.recipient]):
        with pytest.raises(SignaturePolicyError, match="prefect keygen --signing"):
            seal(b"{}", b"p", keys)


@pytest.mark.parametrize(
    ("keys", "error"), [([], ValueError), ([IDENTITY], TypeError), ([b"k" * 32], TypeError)]
)
def test_only_keys_seal(keys, error):
    """Nobody to seal for, or something that cannot seal, is an error."""
    with pytest.raises(error):
        seal(b"{}", b"p", keys, signing_key=SIGNING_KEY)


def test_a_file_has_sixteen_holders_at_most():
    """So many fit; one more is refused before anything is written; twice the same is once."""
    keys = [EncryptionKey.generate() for _ in range(17)]
    assert len(outline(seal(b"", b"", [*keys[:16], *keys[:16]])).key_ids) == 16
    with pytest.raises(ValueError, match="1 to 16"):
        seal(b"", b"", keys)

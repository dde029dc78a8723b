"""`prefect.sealed.writing`."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import ArtifactError, FormatError
from prefect.sealed import writing as sealed_writer
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.reading import open_sealed, outline
from prefect.sealed.source import PIECE_BYTES
from prefect.sealed.writing import SealedWriter

KEY = EncryptionKey(b"k" * 32)


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
    """A manifest or payload above the format's limit is an error, before the header is there."""
    monkeypatch.setattr(sealed_writer, "MAX_MANIFEST_BYTES", 1000)
    monkeypatch.setattr(sealed_writer, "MAX_PAYLOAD_BYTES", 2000)
    with pytest.raises(ArtifactError, match="256 MiB"):
        SealedWriter(io.BytesIO(), b"x" * 1000, KEY)
    file = io.BytesIO()
    writer = SealedWriter(file, b"", KEY)
    writer.write(b"x" * 2000)
    with pytest.raises(ArtifactError, match="1 TiB"):
        writer.finish()
    assert file.getvalue().startswith(b"\0")

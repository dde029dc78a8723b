"""`prefect.sealed.source`."""

import os
import subprocess
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import FormatError, InputTooLargeError
from prefect.sealed import source as sealed_source
from prefect.sealed.source import opened


@given(st.integers(0, 3_000_000), st.integers(0, 3_000_000))
@settings(max_examples=30, deadline=None)
def test_bytes_and_a_file_are_read_alike(tmp_path_factory, one, two):
    """Any range gives the same bytes, at once and in pieces, from memory and from a file."""
    data = os.urandom(1000) * 3000
    path = tmp_path_factory.getbasetemp() / "same"
    path.write_bytes(data)
    start, length = min(one, two), abs(one - two)
    for source in (data, bytearray(data), memoryview(data), path):
        with opened(source) as file:
            assert file.size == len(data)
            assert file.read(start, length) == data[start : start + length]
            pieces = [bytes(piece) for piece in file.pieces(start, length)]
        assert b"".join(pieces) == data[start : start + length]
        assert all(len(piece) <= sealed_source.PIECE_BYTES for piece in pieces)


def test_reading_beyond_the_end_gives_what_there_is(tmp_path):
    """At random access less comes back; a piece that should be there and is not is an error."""
    (tmp_path / "f").write_bytes(b"abc")
    with opened(tmp_path / "f") as file:
        assert file.read(1, 10) == b"bc"
        with pytest.raises(FormatError, match="became shorter"):
            list(file.pieces(0, 10))


def test_pieces_of_two_places_can_be_taken_in_turn(tmp_path):
    """What reads the same file in between does not move the place of the next piece."""
    data = os.urandom(300_000)
    (tmp_path / "f").write_bytes(data)
    with opened(tmp_path / "f") as file:
        one, two = file.pieces(0, 200_000), file.pieces(100_000, 200_000)
        found = [(bytes(a), file.read(5, 5), bytes(b)) for a, b in zip(one, two, strict=True)]
    assert b"".join(piece for piece, _, _ in found) == data[:200_000]
    assert b"".join(piece for _, _, piece in found) == data[100_000:]


def test_a_pipe_is_read_too(tmp_path):
    """What cannot be read at random is taken into memory."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(b"abc",))
    thread.start()
    with opened(path) as file:
        assert (file.size, file.read(1, 2)) == (3, b"bc")
    thread.join()


def test_a_pipe_without_an_end_is_refused(monkeypatch, tmp_path):
    """With an error of this package, and not when memory is exhausted."""
    monkeypatch.setattr(sealed_source, "PIPE_BYTES", 3 * 1024 * 1024)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = subprocess.Popen(["sh", "-c", 'exec yes > "$0"', path])
    with pytest.raises(InputTooLargeError, match="pipe has more than the 3 MiB"), opened(path):
        pass
    writer.wait()


@pytest.mark.parametrize("bad", [None, 5, "file.flow", object(), [b""]])
def test_anything_else_is_a_type_error(bad):
    """The message says how to name a file."""
    with pytest.raises(TypeError, match=r"pathlib\.Path"), opened(bad):
        pass


def test_pieces_of_memory_that_others_can_change_are_copies():
    """What was hashed is what is decrypted, though the caller's buffer changes in between."""
    data = bytearray(b"a" * 10)
    with opened(memoryview(data)) as source:
        (piece,) = source.pieces(0, 10)
        data[:] = b"b" * 10
        assert bytes(piece) == b"a" * 10
    with opened(bytes(data)) as source:
        (piece,) = source.pieces(0, 10)
        assert bytes(piece) == b"b" * 10

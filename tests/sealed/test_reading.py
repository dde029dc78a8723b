"""`prefect.sealed.reading`: what opens, and which damage does not."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_making import blocks, joined, sealed_with

from prefect.errors import ArtifactError, AuthenticationError
from prefect.sealed import source as sealed_source
from prefect.sealed.format import MAGIC, MAGIC_2, Section
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey
from prefect.sealed.reading import open_manifest, open_sealed, opening, outline, verify
from prefect.sealed.source import PIECE_BYTES
from prefect.sealed.writing import SealedWriter, seal

KEY = EncryptionKey(b"k" * 32)
OTHER = EncryptionKey(b"o" * 32)
MANIFEST = b'{"a": "manifest"}'
PAYLOAD = bytes(range(256)) * 200  # several chunks of 16 KiB
SEALED = seal(MANIFEST, PAYLOAD, KEY)
TRAILER = len(b"\0\0\0\2[]")  # no signatures
FURTHER = {"files": bytes(range(255, -1, -1)) * 300, "wheels": b"w" * 70_000}
PACKAGED = sealed_with(MANIFEST, PAYLOAD, FURTHER, KEY)
IDENTITY, SIGNING_KEY = Identity.generate(), SigningKey.generate()
SIGNED = seal(MANIFEST, PAYLOAD, [KEY, OTHER, IDENTITY.recipient], signing_key=SIGNING_KEY)


@given(st.binary(max_size=500), st.binary(max_size=70_000), st.binary(min_size=32, max_size=32))
@settings(max_examples=50)
def test_what_was_sealed_opens_with_its_key(manifest, payload, raw):
    """Both sections come back, together and the manifest alone, for sizes around a chunk's."""
    key = EncryptionKey(raw)
    sealed = seal(manifest, payload, key)
    opened = open_sealed(sealed, key)
    assert (opened.manifest, opened.payload) == (manifest, payload)
    assert open_manifest(sealed, key).manifest == manifest


def test_nothing_of_the_flow_stands_in_clear():
    """No part of manifest or payload is readable in the file, and no two files are alike."""
    assert MANIFEST not in SEALED
    assert b'manifest"' not in SEALED
    assert PAYLOAD[:64] not in SEALED
    assert seal(MANIFEST, PAYLOAD, KEY) != SEALED


def test_a_file_is_hardly_larger_than_its_content():
    """One mebibyte grows by less than 0.2 percent."""
    assert len(seal(b"", b"x" * 2**20, KEY)) < 2**20 * 1.002


def test_the_manifest_opens_without_the_payload_being_read():
    """A changed payload does not keep the manifest from being read: it is not looked at."""
    end = len(SEALED) - TRAILER - 1
    changed = SEALED[:end] + bytes([SEALED[end] ^ 1]) + SEALED[end + 1 :]
    assert open_manifest(changed, KEY).manifest == MANIFEST
    with pytest.raises(AuthenticationError):
        open_sealed(changed, KEY)


@given(st.integers(0, len(SEALED) * 8 - 1))
@settings(max_examples=400)
def test_any_flipped_bit_is_refused(bit):
    """Wherever a bit is flipped, the file does not open."""
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ArtifactError):
        open_sealed(bytes(changed), KEY)


def test_every_flipped_byte_of_the_header_is_refused():
    """Each byte before the sections counts."""
    for position in range(len(SEALED) - len(blocks(SEALED)[2]) + 64):
        changed = bytearray(SEALED)
        changed[position] ^= 0x20
        with pytest.raises(ArtifactError):
            open_manifest(bytes(changed), KEY)


@pytest.mark.parametrize("bad", [None, "text", 5, object(), [SEALED]])
def test_anything_but_bytes_is_a_type_error(bad):
    """Only bytes can be a sealed flow."""
    for opener in (open_sealed, open_manifest):
        with pytest.raises(TypeError, match="is bytes, not"):
            opener(bad, KEY)


def test_swapped_and_exchanged_sections_are_refused():
    """Sections are bound to their place and to their file."""
    core, wraps, rest = blocks(SEALED)
    mac, sections, trailer = rest[:64], rest[64:-TRAILER], rest[-TRAILER:]
    first = int(json.loads(core)["sections"][0]["length"], 16)
    swapped = joined(core, wraps, mac + sections[first:] + sections[:first] + trailer)
    other = seal(MANIFEST, PAYLOAD, KEY)
    size = len(rest) - 64
    spliced = SEALED[:-size] + other[-size:]
    foreign_header = other[:-size] + SEALED[-size:]
    for bad in (swapped, spliced, foreign_header):
        with pytest.raises(ArtifactError):
            open_sealed(bad, KEY)


def test_repeated_and_reordered_chunks_are_refused():
    """The payload's chunks cannot change their order, nor one take another's place."""
    chunk = 16 * 1024 + 16
    length = int(json.loads(blocks(SEALED)[0])["sections"][1]["length"], 16)
    start = len(SEALED) - TRAILER - length + 56
    one, two = SEALED[start : start + chunk], SEALED[start + chunk : start + 2 * chunk]
    for bad in (
        SEALED[:start] + two + one + SEALED[start + 2 * chunk :],
        SEALED[:start] + one + one + SEALED[start + 2 * chunk :],
    ):
        with pytest.raises(AuthenticationError):
            open_sealed(bad, KEY)


def test_the_outline_needs_no_key():
    """Sizes, key ids and signers are what anyone can see."""
    seen = outline(SIGNED)
    assert [kid for _, kid in seen.key_ids] == [KEY.id, OTHER.id, IDENTITY.id]
    assert seen.signer_ids == [SIGNING_KEY.id]
    assert seen.payload_type == "flow+cloudpickle"
    assert 0 < seen.payload_bytes - len(PAYLOAD) < 300
    assert seen.further_bytes == {}
    assert verify(SIGNED, KEY, trusted_signers=[SIGNING_KEY.signer]) == (
        seen, [SIGNING_KEY.signer],
    )  # fmt: skip


def test_reading_the_manifest_of_a_file_reads_no_payload(tmp_path, monkeypatch):
    """From a path, the header, the manifest and the signatures are read: some KB of many MB."""
    path = tmp_path / "large.flow"
    path.write_bytes(seal(MANIFEST, bytes(20_000_000), KEY))
    count = 0
    real = sealed_source._File

    class Counting(real):
        def read(self, offset, length):
            nonlocal count
            count += length
            return super().read(offset, length)

        def pieces(self, offset, length):
            nonlocal count
            count += length
            return super().pieces(offset, length)

    monkeypatch.setattr(sealed_source, "_File", Counting)
    assert open_manifest(path, KEY).manifest == MANIFEST
    assert count < 2000
    assert open_sealed(path, KEY).payload == bytes(20_000_000)
    assert count > 20_000_000


def test_a_length_that_no_plaintext_gives_is_refused():
    """An authentic header over a section that no encryptor writes is a refusal, no crash."""
    for size in (72 + 16400 - 16, 72 + 16400 - 1, 73):
        file = io.BytesIO()
        writer = SealedWriter(file, MANIFEST, KEY)
        writer._current._emit(b"x" * size)
        writer._current._encryptor.finalize()
        writer._current.finish = lambda s=writer._current: Section(
            "payload", s._length, s._sha256.digest()
        )
        writer.finish()
        with pytest.raises(AuthenticationError):
            open_sealed(file.getvalue(), KEY)


sizes = st.one_of(
    st.integers(0, 100),
    st.integers(1, 9).flatmap(lambda n: st.integers(n * 16384 - 20, n * 16384 + 20)),
    st.integers(0, 200_000),
)


@given(
    sizes,
    st.dictionaries(st.sampled_from(["files", "wheels"]), sizes),
    st.sampled_from([bytes, bytearray, memoryview]),
)
@settings(max_examples=60, deadline=None)
def test_each_section_comes_back(payload_bytes, further, kind):
    """Whatever sections a file has and however long they are, each holds what was written to it."""
    names = [name for name in FURTHER if name in further]
    payload = bytes(payload_bytes)
    contents = {name: name[:1].encode() * further[name] for name in names}
    sealed = sealed_with(MANIFEST, payload, contents, KEY)
    assert sealed.startswith(MAGIC_2 if names else MAGIC)
    with opening(kind(sealed), KEY) as flow:
        assert flow.payload_type == "flow+cloudpickle"
        assert flow.sections == ("manifest", "payload", *names)
        assert (flow.manifest(), flow.payload()) == (MANIFEST, payload)
        for name, content in {"manifest": MANIFEST, "payload": payload, **contents}.items():
            pieces = list(flow.pieces(name))
            assert b"".join(pieces) == content
            assert all(0 < len(piece) <= 2 * PIECE_BYTES for piece in pieces)
            flow.check(name)
    assert open_sealed(sealed, KEY).payload == payload
    assert outline(sealed).further_bytes.keys() == contents.keys()


def test_sections_can_be_read_at_once(tmp_path):
    """Who takes a piece of one section moves nothing of another that is read at the same time."""
    path = tmp_path / "flow"
    path.write_bytes(PACKAGED)
    with opening(path, KEY) as flow:
        found = dict.fromkeys(FURTHER, b"")
        streams = {name: flow.pieces(name) for name in FURTHER}
        while streams:
            for name in list(streams):
                piece = next(streams[name], None)
                if piece is None:
                    del streams[name]
                else:
                    found[name] += piece
            assert flow.manifest() == MANIFEST
    assert found == FURTHER


def test_pieces_come_before_a_section_was_read_to_its_end():
    """A section is streamed: its first piece is there when a fraction of it was read."""
    file = io.BytesIO(sealed_with(MANIFEST, PAYLOAD, {"files": bytes(5_000_000)}, KEY))
    with opening(file, KEY) as flow:
        start = flow.layout.placed["files"][1]
        next(flow.pieces("files"))
        assert file.tell() - start <= PIECE_BYTES


@given(st.integers(0, len(FURTHER["files"]) + 200))
@settings(max_examples=60, deadline=None)
def test_a_changed_section_gives_authentic_pieces_alone(place):
    """Before the error come pieces of what was sealed, never of what was changed."""
    with opening(PACKAGED, KEY) as flow:
        section, start = flow.layout.placed["files"]
    changed = bytearray(PACKAGED)
    changed[start + place % section.length] ^= 1
    with opening(changed, KEY) as flow:
        assert flow.payload() == PAYLOAD
        flow.check("wheels")
        found = b""
        with pytest.raises(AuthenticationError):
            for piece in flow.pieces("files"):
                found += piece
        assert FURTHER["files"].startswith(found)
        with pytest.raises(AuthenticationError):
            flow.check("files")


@pytest.mark.parametrize("opener", [open_sealed, verify])
@pytest.mark.parametrize("name", ["payload", "files", "wheels"])
def test_every_byte_is_authenticated_with_further_sections(opener, name):
    """`open_sealed` and `verify` refuse a file with a change in any section; a look does not."""
    with opening(PACKAGED, KEY) as flow:
        section, start = flow.layout.placed[name]
    for place in (start, start + 60, start + section.length - 1):
        changed = bytearray(PACKAGED)
        changed[place] ^= 1
        with pytest.raises(AuthenticationError):
            opener(changed, KEY)
        assert open_manifest(changed, KEY).manifest == MANIFEST


def test_a_section_that_is_not_there_is_asked_for_in_vain():
    """An unknown name is said at once, not when the first piece is taken."""
    with opening(sealed_with(MANIFEST, PAYLOAD, {"wheels": b"w"}, KEY), KEY) as flow:
        for ask in (flow.pieces, flow.check):
            with pytest.raises(ValueError, match="no section 'files'"):
                ask("files")


def test_the_outline_tells_the_sizes_of_further_sections():
    """In the order of the file, hardly more than of what is in them."""
    seen = outline(PACKAGED)
    assert list(seen.further_bytes) == ["files", "wheels"]
    for name, content in FURTHER.items():
        assert 0 < seen.further_bytes[name] - len(content) < 300
    assert verify(PACKAGED, KEY) == (seen, [])

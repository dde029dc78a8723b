"""`prefect.sealed.reading`: what opens, and all that must not."""

import io
import json
import pickle
import struct

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import ArtifactError, AuthenticationError, FormatError, SignaturePolicyError
from prefect.sealed import source as sealed_source
from prefect.sealed.format import MAGIC, MAGIC_2, MAX_WRAPS, Section
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


def blocks(sealed: bytes) -> tuple[bytes, bytes, bytes]:
    """Split a sealed flow into its core, its wraps, and all that follows them."""
    position = len(MAGIC)
    found = []
    for _ in range(2):
        (length,) = struct.unpack_from(">I", sealed, position)
        found.append(sealed[position + 4 : position + 4 + length])
        position += 4 + length
    return found[0], found[1], sealed[position:]


def joined(core: bytes, wraps: bytes, rest: bytes) -> bytes:
    """Put the parts together again, with right lengths."""
    lengths = [struct.pack(">I", len(block)) + block for block in (core, wraps)]
    return b"".join((MAGIC, *lengths, rest))


def edited(change, block=0) -> bytes:
    """Change the JSON of the core (0) or of the wraps (1), spelled canonically."""
    parts = list(blocks(SEALED))
    value = json.loads(parts[block])
    change(value)
    parts[block] = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return joined(*parts)


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


@pytest.mark.parametrize("opener", [open_manifest, open_sealed])
def test_a_wrong_key_and_a_changed_byte_are_one_message(opener):
    """Nobody learns whether the key was wrong or the bytes were changed."""
    mac_at = len(SEALED) - len(blocks(SEALED)[2])
    changed = SEALED[:mac_at] + bytes([SEALED[mac_at] ^ 1]) + SEALED[mac_at + 1 :]
    messages = set()
    for sealed, key in ((SEALED, OTHER), (changed, KEY)):
        with pytest.raises(AuthenticationError) as caught:
            opener(sealed, key)
        messages.add(str(caught.value))
    assert len(messages) == 1


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


def test_every_prefix_is_refused():
    """A file that was cut off anywhere does not open, nor does its manifest."""
    for length in [*range(1500), *range(1500, len(SEALED), 997), len(SEALED) - 1]:
        for opener in (open_sealed, open_manifest):
            with pytest.raises(FormatError):
                opener(SEALED[:length], KEY)


@given(st.binary(min_size=1, max_size=100))
def test_bytes_after_the_end_are_refused(extra):
    """Nothing may follow the last section."""
    with pytest.raises(FormatError, match="after its end"):
        open_sealed(SEALED + extra, KEY)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"x",
        pickle.dumps({"a": "raw pickle"}),
        Fernet(Fernet.generate_key()).encrypt(b"token"),
        b"age-encryption.org/v1\n-> X25519 abc\n",
        b"\x00" * 1000,
    ],
    ids=["nothing", "a byte", "a pickle", "a Fernet token", "age's", "zeros"],
)
def test_what_is_no_sealed_flow_is_said_to_be_none(bad):
    """Foreign bytes are a FormatError that says what is expected."""
    with pytest.raises(FormatError, match="not a sealed flow"):
        open_sealed(bad, KEY)


@pytest.mark.parametrize("bad", [None, "text", 5, object(), [SEALED]])
def test_anything_but_bytes_is_a_type_error(bad):
    """Only bytes can be a sealed flow."""
    for opener in (open_sealed, open_manifest):
        with pytest.raises(TypeError, match="is bytes, not"):
            opener(bad, KEY)


@pytest.mark.parametrize("version", [b"3\n", b"9\n", b"10"])
def test_a_later_version_is_named_as_such(version):
    """A file of version 3 or 10 is told from a file that is none."""
    with pytest.raises(FormatError, match="Upgrade prefect"):
        open_sealed(SEALED.replace(b"1\n", version, 1), KEY)


def test_a_first_line_that_is_cut_off_is_no_later_version():
    """Before the first line's end a file is incomplete, wherever that is."""
    for magic in (MAGIC, MAGIC_2):
        for length in range(1, len(magic)):
            with pytest.raises(FormatError, match="within its first line"):
                open_sealed(magic[:length], KEY)


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


def test_the_wraps_of_another_file_are_refused():
    """A data key that the right key unwraps but that is another file's does not open this one."""
    core, _, rest = blocks(SEALED)
    with pytest.raises(AuthenticationError):
        open_sealed(joined(core, blocks(seal(MANIFEST, PAYLOAD, KEY))[1], rest), KEY)


@pytest.mark.parametrize(
    "change",
    [
        lambda core: core.update(suite="rot13"),
        lambda core: core.update(extra=1),
        lambda core: core.pop("payload"),
        lambda core: core.update(payload=5),
        lambda core: core.update(sections=[]),
        lambda core: core["sections"].append(core["sections"][0]),
        lambda core: core.update(payload=""),
        lambda core: core.update(payload="Flow"),
        lambda core: core.update(payload="x" * 65),
        lambda core: core.update(payload="x\n"),
        lambda core: core.update(payload="\ud800"),
        lambda core: core["sections"][0].update(length=f"{2**28 + 1:016x}"),
        lambda core: core["sections"][1].update(length=f"{2**40 + 1:016x}"),
        lambda core: core["sections"][1].update(length="f" * 16),
        lambda core: core["sections"][1].update(length=f"{71:016x}"),
        lambda core: core["sections"][1].update(length="0" * 16),
        lambda core: core["sections"][1].update(length="1000"),
        lambda core: core["sections"][1].update(length="-" + "0" * 12 + "100"),
        lambda core: core["sections"][1].update(length="0" * 13 + "1_0"),
        lambda core: core["sections"][1].update(length="0" * 13 + "FFF"),
        lambda core: core["sections"][1].update(length=4096),
        lambda core: core["sections"][1].update(length=True),
        lambda core: core["sections"][1].update(length=1.5),
        lambda core: core["sections"][1].update(length=None),
        lambda core: core["sections"][1].update(sha256="00"),
        lambda core: core["sections"][1].update(sha256="A" * 64),
        lambda core: core["sections"][1].update(sha256=5),
        lambda core: core["sections"][1].update(name="x"),
    ],
)
def test_a_core_of_another_shape_is_refused(change):
    """Unknown suites, keys, types and impossible lengths are errors of format."""
    with pytest.raises(FormatError):
        open_sealed(edited(change), KEY)


@pytest.mark.parametrize(
    "change",
    [
        lambda wraps: wraps.clear(),
        lambda wraps: wraps.extend(wraps * MAX_WRAPS),
        lambda wraps: wraps[0].update(alg="none"),
        lambda wraps: wraps[0].update(alg=["A256KW"]),
        lambda wraps: wraps[0].update(alg="HPKE-MLKEM768-X25519"),  # of another length
        lambda wraps: wraps[0].update(key="?"),
        lambda wraps: wraps[0].update(key=wraps[0]["key"][4:]),
        lambda wraps: wraps[0].update(key=wraps[0]["key"] + "\n"),
        lambda wraps: wraps[0].update(kid="0" * 15),
        lambda wraps: wraps[0].update(kid="G" * 16),
        lambda wraps: wraps[0].update(kid=5),
        lambda wraps: wraps[0].update(more=1),
        lambda wraps: wraps.append("text"),
    ],
)
def test_wraps_of_another_shape_are_refused(change):
    """Too many wraps, unknown algorithms and wrong types are errors of format."""
    with pytest.raises(FormatError):
        open_sealed(edited(change, block=1), KEY)


@pytest.mark.parametrize(
    "core",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 60_000,
        b'{"payload":NaN}',
        b"\xff\xfe",
        b'{"a":1,"a":1}',
        blocks(SEALED)[0] + b" ",
        blocks(SEALED)[0].replace(b'"suite"', b'"s\\u0075ite"'),
        blocks(SEALED)[0].replace(b'{"payload"', b'{"payload":"x","payload"'),
    ],
    ids=[
        "nothing",
        "no field",
        "null",
        "deep",
        "NaN",
        "no UTF-8",
        "a field twice",
        "a blank",
        "an escape",
        "a field twice, the first wrong",
    ],
)
def test_json_that_is_not_canonical_is_refused(core):
    """Duplicate keys, other spellings, deep nesting, NaN and bad UTF-8 are errors of format."""
    _, wraps, rest = blocks(SEALED)
    with pytest.raises(FormatError):
        open_sealed(joined(core, wraps, rest), KEY)


def test_a_huge_header_is_refused_before_it_is_read():
    """A length beyond the limit is refused although the bytes would be there."""
    with pytest.raises(FormatError, match="64 KiB"):
        open_sealed(MAGIC + struct.pack(">I", 2**32 - 1) + b"x" * 100, KEY)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_noise_after_the_magic_line_is_refused(noise):
    """Whatever follows the first line, the answer is an error of ours."""
    with pytest.raises(ArtifactError):
        open_sealed(MAGIC + noise, KEY)


IDENTITY, SIGNING_KEY, STRANGER = Identity.generate(), SigningKey.generate(), SigningKey.generate()
SIGNED = seal(MANIFEST, PAYLOAD, [KEY, OTHER, IDENTITY.recipient], signing_key=SIGNING_KEY)
OPENERS = [open_manifest, open_sealed, verify]


@pytest.mark.parametrize("opener", OPENERS)
def test_each_holder_opens_a_file_of_several(opener):
    """Encryption keys do, alone and within a keyring, and the identity whose signer is trusted."""
    trusted = [STRANGER.signer, SIGNING_KEY.signer]
    for keys in (KEY, OTHER, [EncryptionKey.generate(), OTHER], [IDENTITY, KEY]):
        opener(SIGNED, keys)
        opener(SIGNED, keys, trusted_signers=trusted)
    opener(SIGNED, [Identity.generate(), IDENTITY], trusted_signers=trusted)


@pytest.mark.parametrize("opener", OPENERS)
def test_an_identity_needs_somebody_to_trust(opener):
    """Anybody can make a file for a recipient: without trusted signers that is not opened."""
    for keys in (IDENTITY, [EncryptionKey.generate(), IDENTITY]):
        with pytest.raises(SignaturePolicyError, match="--trusted-signer"):
            opener(SIGNED, keys)


@pytest.mark.parametrize("opener", OPENERS)
def test_every_refusal_is_one_message(opener):
    """Wrong key, no or foreign signature, stripped signature, changed MAC: never said which."""
    unsigned = seal(MANIFEST, PAYLOAD, KEY)
    stripped = SIGNED[: SIGNED.rindex(b"[{")  - 4] + b"\0\0\0\2[]"  # fmt: skip
    core, _, rest = blocks(SIGNED)
    spliced = joined(core, blocks(unsigned)[1], rest)
    wraps = json.dumps(json.loads(blocks(SIGNED)[1])[::-1], separators=(",", ":")).encode()
    reordered = joined(core, wraps, rest)
    signer = [SIGNING_KEY.signer]
    cases = [
        (SIGNED, EncryptionKey.generate(), None),
        (SIGNED, [], None),
        (SIGNED, Identity.generate(), signer),
        (SIGNED, KEY, [STRANGER.signer]),
        (SIGNED, KEY, []),
        (SIGNED, EncryptionKey.generate(), signer),
        (unsigned, KEY, signer),
        (unsigned, IDENTITY, signer),
        (stripped, KEY, signer),
        (spliced, KEY, None),
        (spliced, KEY, signer),
        (reordered, KEY, None),
    ]
    messages = set()
    for sealed, keys, trusted in cases:
        with pytest.raises(AuthenticationError) as caught:
            opener(sealed, keys, trusted_signers=trusted)
        messages.add(str(caught.value))
    assert len(messages) == 1
    opener(stripped, KEY)  # the signature is the reader's to ask for


def test_key_ids_are_only_hints():
    """A file whose ids are all wrong, under a right MAC, opens for each of its keys."""

    class Liar(EncryptionKey):
        id = "0" * 16

    sealed = seal(MANIFEST, PAYLOAD, [Liar(b"l" * 32), Liar(b"k" * 32)])
    assert open_sealed(sealed, KEY).payload == PAYLOAD


def test_recipients_without_a_signing_key_are_refused():
    """Sealing says so before it begins."""
    for keys in (IDENTITY.recipient, [KEY, IDENTITY.recipient]):
        with pytest.raises(SignaturePolicyError, match="prefect keygen --signing"):
            seal(MANIFEST, PAYLOAD, keys)


@pytest.mark.parametrize(
    ("keys", "error"), [([], ValueError), ([IDENTITY], TypeError), ([b"k" * 32], TypeError)]
)
def test_only_keys_seal(keys, error):
    """Nobody to seal for, or something that cannot seal, is an error."""
    with pytest.raises(error):
        seal(MANIFEST, PAYLOAD, keys, signing_key=SIGNING_KEY)


def test_a_file_has_sixteen_holders_at_most():
    """So many fit; one more is refused before anything is written; twice the same is once."""
    keys = [EncryptionKey.generate() for _ in range(17)]
    assert len(outline(seal(b"", b"", [*keys[:16], *keys[:16]])).key_ids) == 16
    with pytest.raises(ValueError, match="1 to 16"):
        seal(b"", b"", keys)


def test_only_keys_open():
    """What is no key is a TypeError, not a refusal."""
    for keys in ([IDENTITY.recipient], [b"k" * 32], [SIGNING_KEY]):
        with pytest.raises(TypeError, match="opened by"):
            open_sealed(SIGNED, keys, trusted_signers=[SIGNING_KEY.signer])


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


def test_a_sections_length_is_not_believed_before_it_is_compared(tmp_path):
    """A header that claims a tebibyte is refused by the length of its file, at once."""
    claim = edited(lambda core: core["sections"][1].update(length=f"{2**40:016x}"))
    path = tmp_path / "claim.flow"
    path.write_bytes(claim)
    for source in (claim, path):
        with pytest.raises(FormatError, match="incomplete"):
            open_sealed(source, KEY)


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


FURTHER = {"files": bytes(range(255, -1, -1)) * 300, "wheels": b"w" * 70_000}


def packaged(further=FURTHER, *, payload=PAYLOAD, **options) -> bytes:
    """Seal a flow with further sections."""
    file = io.BytesIO()
    writer = SealedWriter(file, MANIFEST, KEY, further=list(further), **options)
    writer.write(payload)
    for name, content in further.items():
        writer.begin(name)
        writer.write(content)
    writer.finish()
    return file.getvalue()


PACKAGED = packaged()
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
    sealed = packaged(contents, payload=payload)
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
    file = io.BytesIO(packaged({"files": bytes(5_000_000)}))
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
    with opening(packaged({"wheels": b"w"}), KEY) as flow:
        for ask in (flow.pieces, flow.check):
            with pytest.raises(ValueError, match="no section 'files'"):
                ask("files")


def test_the_first_line_and_the_sections_have_one_version():
    """Neither version's first line goes with the other's core, though all else is right."""
    for sealed, (old, new) in ((SEALED, (MAGIC, MAGIC_2)), (PACKAGED, (MAGIC_2, MAGIC))):
        with pytest.raises(FormatError, match="sections of its version"):
            open_sealed(sealed.replace(old, new, 1), KEY)


@pytest.mark.parametrize(
    "names",
    [
        ["manifest", "payload", "wheels", "files"],
        ["manifest", "payload", "files", "files"],
        ["manifest", "payload", "payload", "wheels"],
        ["payload", "manifest", "files", "wheels"],
        ["manifest", "files", "payload", "wheels"],
        ["manifest", "payload", "files", "data"],
        ["manifest", "payload", "files", 5],
        ["manifest", "payload", "files", ["wheels"]],
        ["manifest", "payload", "files", None],
        ["", "payload", "files", "wheels"],
    ],
)
def test_other_names_of_sections_are_refused(names):
    """Unknown, repeated, missing and exchanged names are errors of format."""
    position = len(MAGIC_2)
    (length,) = struct.unpack_from(">I", PACKAGED, position)
    core = json.loads(PACKAGED[position + 4 : position + 4 + length])
    for section, name in zip(core["sections"], names, strict=True):
        section["name"] = name
    text = json.dumps(core, sort_keys=True, separators=(",", ":")).encode()
    changed = struct.pack(">I", len(text)) + text + PACKAGED[position + 4 + length :]
    with pytest.raises(FormatError):
        open_sealed(MAGIC_2 + changed, KEY)


def test_the_outline_tells_the_sizes_of_further_sections():
    """In the order of the file, hardly more than of what is in them."""
    seen = outline(PACKAGED)
    assert list(seen.further_bytes) == ["files", "wheels"]
    for name, content in FURTHER.items():
        assert 0 < seen.further_bytes[name] - len(content) < 300
    assert verify(PACKAGED, KEY) == (seen, [])

"""The test vectors of docs/sealed-flow.md, and an independent reader and writer beside ours."""

import base64
import builtins
import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sealed_making import sealed_with

from prefect import errors
from prefect.environments import PickleEnvironment
from prefect.sealed import authentication
from prefect.sealed import format as sealed_header
from prefect.sealed import reading as sealing
from prefect.sealed import source as sealed_source
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity, Recipient
from prefect.sealed.keys.signers import Signer, SigningKey
from prefect.sealed.writing import SealedWriter, seal

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import independent_reader  # noqa: E402
import independent_writer  # noqa: E402
import make_vectors  # noqa: E402

INDEX = json.loads((HERE / "vectors" / "index.json").read_text())
VECTORS = {entry["file"].removesuffix(".flow"): entry for entry in INDEX["vectors"]}
KEY, IDENTITY = INDEX["encryption_keys"]["key-a"], INDEX["identities"]["identity-a"]
SIGNING_KEY, SIGNER = INDEX["signing_keys"]["signer-a"], INDEX["signers"]["signer-a"]


def raw(text: str) -> bytes:
    """Return the bytes of a key, whichever kind it is."""
    return base64.b64decode(text.rpartition(":")[2], altchars=None if ":" in text else b"-_")


def data_of(name: str) -> bytes:
    """Return a vector's bytes."""
    return (HERE / "vectors" / f"{name}.flow").read_bytes()


def holders(entry) -> tuple[list[str], list[str], list[str]]:
    """Return the texts of a reader's keys, identities and trusted signers."""
    return (
        [INDEX["encryption_keys"][name] for name in entry["keys"]],
        [INDEX["identities"][name] for name in entry["identities"]],
        [INDEX["signers"][name] for name in entry["trusted_signers"]],
    )


def opening(keys, identities, signers):
    """Return what the product asks for, of texts."""
    return (
        [*map(EncryptionKey, keys), *map(Identity, identities)],
        [Signer(text) for text in signers] or None,
    )


def ours(data, keys=(KEY,), identities=(), signers=(), opener=sealing.open_sealed):
    """Read with the product; return what it holds, or the name of the error."""
    held, trusted = opening(keys, identities, signers)
    try:
        opened = opener(data, held, trusted_signers=trusted)
        further = {}
        if opener is sealing.open_sealed:
            with sealing.opening(data, held, trusted_signers=trusted) as flow:
                further = {name: b"".join(flow.pieces(name)) for name in flow.sections[2:]}
    except errors.PrefectError as error:
        return type(error).__name__
    return opened.payload_type, opened.manifest, bytes(opened.payload), further


def streamed(data, keys=(KEY,), identities=(), signers=()):
    """Read with the product, all of it in pieces and the last first, as `ours` does."""
    held, trusted = opening(keys, identities, signers)
    try:
        with sealing.opening(data, held, trusted_signers=trusted) as flow:
            found = {name: b"".join(flow.pieces(name)) for name in reversed(flow.sections)}
            return flow.payload_type, found.pop("manifest"), found.pop("payload"), found
    except errors.PrefectError as error:
        return type(error).__name__


def theirs(data, keys=(KEY,), identities=(), signers=()):
    """Read with the independent reader; return what it holds, or the name of the error."""
    try:
        return independent_reader.read(
            data,
            keys=[raw(key) for key in keys],
            identities=[raw(identity) for identity in identities],
            trusted_signers=[raw(signer) for signer in signers],
        )
    except independent_reader.Malformed:
        return "FormatError"
    except independent_reader.Refused:
        return "AuthenticationError"
    except ValueError:
        return "SignaturePolicyError"


def described(found):
    """Return what the index would say of what a reader returned."""
    if isinstance(found, str):
        return found
    payload_type, manifest, payload, further = found
    digests = [hashlib.sha512(plain).hexdigest() for plain in (manifest, payload)]
    named = {name: hashlib.sha512(plain).hexdigest() for name, plain in further.items()}
    return payload_type, *digests, named


def promised(entry, expected):
    """Return what the index says that a reader returns."""
    if expected not in {"ok", "NotAFlowError"}:
        return expected
    named = entry.get("further_sha512", {})
    return entry["payload_type"], entry["manifest_sha512"], entry["payload_sha512"], named


@pytest.fixture(autouse=True)
def canary():
    """Whatever a test does, nothing loads a payload of the vectors."""
    yield
    assert not hasattr(builtins, "sealed_flow_canary")


def test_the_canary_would_be_seen():
    """The payload of the vectors is a pickle that leaves its mark where it is loaded."""
    opened = sealing.open_sealed(data_of("good-one-key"), [EncryptionKey(KEY)])
    with contextlib.suppress(TypeError):
        pickle.loads(opened.payload)
    assert builtins.sealed_flow_canary
    del builtins.sealed_flow_canary


def test_the_vectors_are_those_that_the_script_makes():
    """The checked-in files are what make_vectors.py writes, to the last byte."""
    made = make_vectors.collect()
    present = {path.name: path.read_bytes() for path in (HERE / "vectors").iterdir()}
    assert made.keys() == present.keys()
    assert [name for name in made if made[name] != present[name]] == []


def test_the_independent_code_imports_nothing_of_ours():
    """Neither the second reader nor the second writer uses the product or Cobblestone."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, independent_writer; print(*sys.modules)"],
        cwd=HERE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = done.stdout.split()
    assert "independent_reader" in loaded
    assert not [name for name in loaded if name.startswith(("prefect", "cryptography.cobble"))]


@pytest.mark.parametrize("name", VECTORS)
def test_both_readers_agree_on_a_vector(name):
    """Each vector gives what the index says, in both readers, or the same class of error."""
    entry, data = VECTORS[name], data_of(name)
    for read in (theirs, ours, streamed):
        assert described(read(data, *holders(entry))) == promised(entry, entry["expected"])


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_the_same_in_a_file(name):
    """Read from a path, with its payload or without, a vector gives what the index says."""
    entry, path = VECTORS[name], HERE / "vectors" / f"{name}.flow"
    reader = holders(entry)
    for read in (ours, streamed):
        assert described(read(path, *reader)) == promised(entry, entry["expected"])
    inspected = described(ours(path, *reader, opener=sealing.open_manifest))
    expected = promised(entry, entry["inspection"])
    if isinstance(expected, str):
        assert inspected == expected
    else:
        assert inspected[:2] == expected[:2]


@pytest.mark.parametrize(
    "name", [name for name, entry in VECTORS.items() if entry["expected"] != "ok"]
)
def test_an_environment_runs_nothing_of_a_bad_vector(name):
    """`run` and `info` give the error of the index, and never load the payload."""
    entry = VECTORS[name]
    keys, identities, signers = holders(entry)
    environment = PickleEnvironment(
        keys or None, identity=identities or None, trusted_signers=signers or None
    )
    for source in (data_of(name), HERE / "vectors" / f"{name}.flow"):
        with pytest.raises(errors.PrefectError) as caught:
            environment.run(source)
        assert type(caught.value).__name__ == entry["expected"]
        if entry["inspection"] != "ok":
            with pytest.raises(errors.PrefectError) as caught:
                environment.info(source)
            assert type(caught.value).__name__ == entry["inspection"]


def test_all_that_is_not_authentic_is_one_message():
    """No AuthenticationError of any vector tells what was wrong."""
    messages = set()
    for name, entry in VECTORS.items():
        if entry["expected"] == "AuthenticationError":
            keys, identities, signers = holders(entry)
            with pytest.raises(errors.AuthenticationError) as caught:
                sealing.open_sealed(
                    data_of(name),
                    [*map(EncryptionKey, keys), *map(Identity, identities)],
                    trusted_signers=[Signer(text) for text in signers] or None,
                )
            messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize("name", ["good-two-signatures", "further-files-and-wheels"])
def test_every_prefix_of_a_vector_is_malformed_for_both(name):
    """Wherever a file is cut off, anyone can see it."""
    data = data_of(name)
    for end in range(len(data)):
        assert ours(data[:end]) == theirs(data[:end]) == "FormatError"


@pytest.mark.parametrize(
    "name", ["good-one-key", "good-two-signatures", "good-recipient", "further-signed"]
)
def test_both_readers_agree_on_each_changed_byte(name):
    """At whichever place a byte is changed, both readers give the same answer."""
    entry, data = VECTORS[name], data_of(name)
    source = random.Random(name)
    reader = holders(entry)
    content = ours(data, *reader)
    assert not isinstance(content, str)
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= source.randrange(1, 256)
        found = ours(bytes(changed), *reader)
        assert found == theirs(bytes(changed), *reader), position
        assert isinstance(found, str) or found == content  # a hint, or an unneeded signature


sizes = st.one_of(
    st.integers(0, 100),
    st.integers(16384 - 20, 16384 + 20),
    st.integers(2 * 16384 - 20, 2 * 16384 + 20),
    st.integers(0, 100_000),
)
furthers = st.one_of(st.just({}), st.dictionaries(st.sampled_from(["files", "wheels"]), sizes))
readers = st.sampled_from([((KEY,), (), ()), ((), (IDENTITY,), (SIGNER,)), ((KEY,), (), (SIGNER,))])


def contents(manifest_bytes, payload_bytes, further_bytes, seed):
    """Return what a file of these sizes holds."""
    source = random.Random(seed)
    further = {
        name: source.randbytes(further_bytes[name])
        for name in ("files", "wheels")
        if name in further_bytes
    }
    return source.randbytes(manifest_bytes), source.randbytes(payload_bytes), further


@given(sizes, sizes, furthers, readers, st.integers(0, 2**32))
@example(0, 2**20 - 1, {}, ((KEY,), (), ()), 0)
@example(2**20, 2**20, {}, ((KEY,), (), ()), 0)
@example(2**20 + 1, 2**21 + 16384, {}, ((KEY,), (), ()), 0)
@example(0, 0, {"files": 2**20, "wheels": 2**21 + 1}, ((KEY,), (), ()), 0)
@settings(max_examples=100, deadline=None)
def test_what_we_seal_the_independent_reader_reads(
    manifest_bytes, payload_bytes, further_bytes, reader, seed
):
    """Files of all sizes and for all kinds of holders, sealed by us, are read by both."""
    content = contents(manifest_bytes, payload_bytes, further_bytes, seed)
    holding = [EncryptionKey(KEY), Recipient(INDEX["recipients"]["identity-a"])]
    sealed = sealed_with(*content, holding, SigningKey(SIGNING_KEY))
    expected = ("flow+cloudpickle", *content)
    for read in (theirs, ours, streamed):
        assert read(sealed, *reader) == expected


@given(sizes, sizes, furthers, readers, st.integers(0, 2**32))
@example(0, 2**20 - 1, {}, ((KEY,), (), ()), 0)
@example(2**20, 2**20, {}, ((KEY,), (), ()), 0)
@example(0, 0, {"files": 2**20 - 1, "wheels": 2**20}, ((KEY,), (), ()), 0)
@settings(max_examples=100, deadline=None)
def test_what_the_independent_writer_writes_we_read(
    manifest_bytes, payload_bytes, further_bytes, reader, seed
):
    """Files of all sizes and for all kinds of holders, written from the page alone, open."""
    content = contents(manifest_bytes, payload_bytes, further_bytes, seed)
    written = independent_writer.write(
        *content,
        seed=str(seed),
        keys=[raw(KEY)],
        recipients=[raw(INDEX["recipients"]["identity-a"])],
        signing_keys=[raw(SIGNING_KEY)],
    )
    for read in (ours, streamed):
        assert read(written, *reader) == ("flow+cloudpickle", *content)


def test_no_size_around_a_piece_is_refused():
    """Every size near the boundaries of chunks and of the pieces in which we read opens."""
    key = EncryptionKey(os.urandom(32))
    for centre in (16384, 2**20 - 1100, 2**20, 2**21 - 2200):
        for size in range(centre - 100, centre + 100, 1 if centre < 2**20 - 2000 else 3):
            payload = bytes(size)
            assert sealing.open_sealed(seal(b"", payload, key), key).payload == payload


edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "delete", "insert", "copy", "digit"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 255),
    ),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, changes) -> bytes:
    """Apply random changes to a file."""
    made = bytearray(data)
    for kind, where, whence, value in changes:
        position, origin = int(where * len(made)), int(whence * len(made))
        if kind == "flip" and made:
            made[position] ^= value
        elif kind == "delete":
            del made[position : position + value]
        elif kind == "insert":
            made[position:position] = bytes([value])
        elif kind == "copy":
            piece = made[origin : origin + value]
            made[position : position + len(piece)] = piece
        elif kind == "digit" and made:
            made[position] = b"0123456789abcdef"[value % 16]
    return bytes(made)


@given(st.sampled_from(sorted(VECTORS)), edits)
@settings(max_examples=600, deadline=None)
def test_both_readers_agree_on_random_mutations(name, changes):
    """Both refuse with the same error, or both accept with the same content."""
    entry, data = VECTORS[name], mutated(data_of(name), changes)
    reader = holders(entry)
    assert ours(data, *reader) == theirs(data, *reader) == streamed(data, *reader)


json_edits = st.builds(
    lambda changes: lambda text: mutated(text, changes),
    edits,
)


@given(
    json_edits,
    json_edits,
    json_edits,
    st.sampled_from(["core", "wraps", "signatures"]),
    st.sampled_from([{}, {"files": b"f" * 50}, {"files": b"", "wheels": b"w" * 50}]),
)
@settings(max_examples=800, deadline=None)
def test_both_readers_agree_on_authentic_nonsense(core, wraps, signatures, part, further):
    """A header that was changed before it was authenticated is judged alike by both."""
    change = {part: {"core": core, "wraps": wraps, "signatures": signatures}[part]}
    data = independent_writer.write(
        b"m", b"p" * 100, further, seed="nonsense", keys=[raw(KEY)], signing_keys=[raw(SIGNING_KEY)],
        **change,
    )  # fmt: skip
    for signers in ((), (SIGNER,)):
        assert ours(data, signers=signers) == theirs(data, signers=signers)


OPENING = [name for name, entry in VECTORS.items() if entry["expected"] == "ok"]


@pytest.mark.parametrize("name", OPENING)
def test_the_independent_reader_reads_what_was_rewrapped_and_signed(name):
    """For other holders, and with one more signature, a file still holds the same for both."""
    from prefect.sealed.rewrapping import add_signature, rewrap

    keys, identities, signers = holders(VECTORS[name])
    opening = [*map(EncryptionKey, keys), *map(Identity, identities)]
    trusted = [Signer(text) for text in signers] or None
    content = ours(data_of(name), keys, identities, signers)
    rewrapped, signed = io.BytesIO(), io.BytesIO()
    other = INDEX["encryption_keys"]["key-b"]
    rewrap(HERE / "vectors" / f"{name}.flow", rewrapped, opening, [EncryptionKey(other)],
           trusted_signers=trusted)  # fmt: skip
    for reader in (ours, theirs):
        assert reader(rewrapped.getvalue(), [other], (), signers) == content
        assert reader(rewrapped.getvalue(), [INDEX["encryption_keys"]["key-c"]]) == (
            "AuthenticationError"
        )
    if name != "good-16-signatures":
        key = SigningKey(INDEX["signing_keys"]["signer-b"])
        add_signature(rewrapped.getvalue(), signed, key)
        for reader in (ours, theirs):
            assert reader(signed.getvalue(), [other], (), [key.signer.encode()]) == content


@pytest.mark.parametrize("seed", range(4))
def test_the_independent_reader_reads_what_we_stream(seed, tmp_path):
    """Many writes of all sizes, beyond every buffer of ours, are the section for both readers."""
    source = random.Random(seed)
    payload, path = source.randbytes(9 * 2**20 + seed), tmp_path / "streamed.flow"
    with path.open("w+b") as file:
        writer = SealedWriter(file, b"manifest", EncryptionKey(KEY), further=["files"][: seed % 2])
        if seed % 2:
            writer.begin("files")
        position = 0
        while position < len(payload):
            size = source.choice([1, 1000, 16384, 100_000, 2**20, 2**20 + 1, 5 * 2**20])
            position += writer.write(payload[position : position + size])
        writer.finish()
    parts = (b"", {"files": payload}) if seed % 2 else (payload, {})
    expected = ("flow+cloudpickle", b"manifest", *parts)
    data = path.read_bytes()
    assert theirs(data) == ours(data) == ours(path) == streamed(path) == expected
    for position in (len(data) // 2, len(data) - 300):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        path.write_bytes(changed)
        assert theirs(changed) == ours(changed) == ours(path) == "AuthenticationError"


def test_who_opens_a_file_cannot_forge_one_for_another_key():
    """The holder of one key knows the data key, and still cannot make what the other key opens."""
    ours, theirs = EncryptionKey(b"k" * 32), EncryptionKey(b"o" * 32)
    both = seal(b"{}", b"payload", [ours, theirs])
    with sealed_source.opened(both) as source:
        layout = sealed_header.read_layout(source)
        data_key = authentication.authenticate(layout, theirs, None)
    wraps = sealed_header.wraps_to_json(layout.wraps)
    forged = independent_writer.write(
        b"{}", b"another payload", seed="forged", data_key=data_key, keys=[b"x" * 32],
        wraps=lambda _: wraps,
    )  # fmt: skip
    for key in (ours, theirs):
        with pytest.raises(errors.AuthenticationError):
            sealing.open_sealed(forged, key)
    honest = independent_writer.write(b"{}", b"x", seed="honest", keys=[b"k" * 32])
    assert sealing.open_sealed(honest, ours).payload == b"x"

"""`prefect.sealed.format`: files of another shape, which anyone can see."""

import json
import pickle
import struct

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st
from sealed_making import blocks, joined, sealed_with

from prefect.errors import ArtifactError, FormatError
from prefect.sealed.format import MAGIC, MAGIC_2, MAX_WRAPS
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.reading import open_manifest, open_sealed
from prefect.sealed.writing import seal

KEY = EncryptionKey(b"k" * 32)
MANIFEST = b'{"a": "manifest"}'
PAYLOAD = bytes(range(256)) * 200  # several chunks of 16 KiB
SEALED = seal(MANIFEST, PAYLOAD, KEY)
PACKAGED = sealed_with(MANIFEST, PAYLOAD, {"files": b"f" * 500, "wheels": b"w" * 500}, KEY)


def edited(change, block=0) -> bytes:
    """Change the JSON of the core (0) or of the wraps (1), spelled canonically."""
    parts = list(blocks(SEALED))
    value = json.loads(parts[block])
    change(value)
    parts[block] = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return joined(*parts)


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


def test_the_first_line_and_the_sections_have_one_version():
    """Neither version's first line goes with the other's core, though all else is right."""
    for sealed, (old, new) in ((SEALED, (MAGIC, MAGIC_2)), (PACKAGED, (MAGIC_2, MAGIC))):
        with pytest.raises(FormatError, match="sections of its version"):
            open_sealed(sealed.replace(old, new, 1), KEY)


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


def test_a_sections_length_is_not_believed_before_it_is_compared(tmp_path):
    """A header that claims a tebibyte is refused by the length of its file, at once."""
    claim = edited(lambda core: core["sections"][1].update(length=f"{2**40:016x}"))
    path = tmp_path / "claim.flow"
    path.write_bytes(claim)
    for source in (claim, path):
        with pytest.raises(FormatError, match="incomplete"):
            open_sealed(source, KEY)


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
    core, wraps, rest = blocks(PACKAGED)
    changed = json.loads(core)
    for section, name in zip(changed["sections"], names, strict=True):
        section["name"] = name
    text = json.dumps(changed, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(FormatError):
        open_sealed(joined(text, wraps, rest, MAGIC_2), KEY)

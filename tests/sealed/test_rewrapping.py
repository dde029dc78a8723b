"""`prefect.sealed.rewrapping`."""

import io

import pytest
from sealed_making import sealed_with

from prefect.errors import ArtifactError, AuthenticationError, FormatError, SignaturePolicyError
from prefect.sealed.format import read_layout
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey
from prefect.sealed.reading import open_manifest, open_sealed, opening, outline, verify
from prefect.sealed.rewrapping import add_signature, rewrap
from prefect.sealed.source import opened
from prefect.sealed.writing import seal

OLD, NEW = EncryptionKey(b"o" * 32), EncryptionKey(b"n" * 32)
IDENTITY, SIGNING_KEY = Identity.generate(), SigningKey.generate()
SEALED = seal(b"{}", b"p" * 40_000, OLD)
SIGNED = seal(b"{}", b"p" * 40_000, OLD, signing_key=SIGNING_KEY)
FURTHER = {"files": b"f" * 50_000, "wheels": b"w" * 60_000}
PACKAGED = sealed_with(b"{}", b"p" * 40_000, FURTHER, OLD, SIGNING_KEY)


def rewrapped(*arguments, **settings) -> bytes:
    file = io.BytesIO()
    rewrap(arguments[0], file, *arguments[1:], **settings)
    return file.getvalue()


def signed(sealed, key) -> bytes:
    file = io.BytesIO()
    add_signature(sealed, file, key)
    return file.getvalue()


def rest(sealed: bytes) -> bytes:
    """Return the core, and everything behind the header's MAC."""
    with opened(sealed) as file:
        layout = read_layout(file)
    return layout.core_json + sealed[layout.sections_at :]


def test_another_key_opens_and_the_rest_is_byte_for_byte():
    """The new key opens, the old does not, and sections, core and signatures are the same."""
    new = rewrapped(SIGNED, [NEW, OLD], [NEW, IDENTITY.recipient])
    assert rest(new) == rest(SIGNED)
    for keys, trusted in ((NEW, None), (IDENTITY, [SIGNING_KEY.signer])):
        assert open_sealed(new, keys, trusted_signers=trusted).payload == b"p" * 40_000
    with pytest.raises(AuthenticationError):
        open_manifest(new, OLD)
    assert [kid for _, kid in outline(new).key_ids] == [NEW.id, IDENTITY.id]


def test_only_who_can_open_it_can_change_who_can():
    """A foreign key, an identity without trust and a changed header are refused."""
    for keys in (NEW, [NEW]):
        with pytest.raises(AuthenticationError):
            rewrapped(SEALED, keys, NEW)
    with pytest.raises(SignaturePolicyError, match="trust"):
        rewrapped(SIGNED, IDENTITY, NEW)


@pytest.mark.parametrize("place", [-100, -20_000, -40_050])
def test_a_damaged_file_is_not_blessed(place):
    """Whose sections are not those of its header is not rewrapped, wherever it is damaged."""
    damaged = bytearray(SEALED)
    damaged[place] ^= 1
    with pytest.raises(AuthenticationError):
        rewrapped(bytes(damaged), OLD, NEW)


def test_an_unsigned_file_is_not_opened_to_recipients():
    """A recipient's wrap needs a signature in the file, which can be added first."""
    with pytest.raises(SignaturePolicyError, match="must be signed"):
        rewrapped(SEALED, OLD, IDENTITY.recipient)
    rewrapped(signed(SEALED, SIGNING_KEY), OLD, IDENTITY.recipient)


@pytest.mark.parametrize(("to", "error"), [([], ValueError), ([IDENTITY], TypeError),
                                           ([SIGNING_KEY], TypeError)])  # fmt: skip
def test_a_file_is_not_opened_to_nobody_nor_to_nonsense(to, error):
    """No key, or something that cannot seal, is said before anything is written."""
    with pytest.raises(error):
        rewrapped(SIGNED, OLD, to)


def test_a_signature_is_added_and_changes_nothing_else():
    """Each signer's stands beside the others', once, and all are valid."""
    second = SigningKey.generate()
    once = signed(SEALED, SIGNING_KEY)
    twice = signed(signed(once, second), SIGNING_KEY)
    assert sorted(outline(twice).signer_ids) == sorted([SIGNING_KEY.id, second.id])
    assert once.startswith(SEALED[:-6])
    for key in (SIGNING_KEY, second):
        assert verify(twice, OLD, trusted_signers=[key.signer])[1] == [key.signer]
    with pytest.raises(AuthenticationError):
        verify(once, OLD, trusted_signers=[second.signer])


def test_a_seventeenth_signature_is_refused():
    """There is room for sixteen, and the message says so."""
    sealed = SEALED
    for _ in range(16):
        sealed = signed(sealed, SigningKey.generate())
    with pytest.raises(ArtifactError, match="16 signatures"):
        signed(sealed, SIGNING_KEY)
    assert len(verify(sealed, OLD)[0].signer_ids) == 16


def test_what_was_changed_is_not_signed():
    """Sections that are not those of the header get no signature, nor does what is no file."""
    with pytest.raises(AuthenticationError, match="not signed"):
        signed(SEALED[:-100] + bytes([SEALED[-100] ^ 1]) + SEALED[-99:], SIGNING_KEY)
    with pytest.raises(FormatError):
        signed(SEALED[:-1], SIGNING_KEY)


def test_further_sections_are_taken_along():
    """A file with further sections keeps them, its version and its signature, however it is changed."""
    new = signed(rewrapped(PACKAGED, OLD, NEW), SigningKey.generate())
    assert new[:22] == PACKAGED[:22] == b"prefect sealed flow 2\n"
    assert rest(new).startswith(rest(PACKAGED)[:-200])
    with opening(new, NEW, trusted_signers=[SIGNING_KEY.signer]) as flow:
        assert {name: b"".join(flow.pieces(name)) for name in FURTHER} == FURTHER


@pytest.mark.parametrize("name", ["manifest", "payload", "files", "wheels"])
def test_a_damaged_section_is_neither_signed_nor_rewrapped(name):
    """Each section is compared with its digest before the file gets another header or signature."""
    with opening(PACKAGED, OLD) as flow:
        section, start = flow.layout.placed[name]
    for place in (start, start + section.length - 1):
        damaged = bytearray(PACKAGED)
        damaged[place] ^= 1
        with pytest.raises(AuthenticationError):
            rewrapped(damaged, OLD, NEW)
        with pytest.raises(AuthenticationError, match="not signed"):
            signed(damaged, SigningKey.generate())

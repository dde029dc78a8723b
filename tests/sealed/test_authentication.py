"""`prefect.sealed.authentication`: which keys and signatures open a file, and which do not."""

import json

import pytest
from sealed_making import blocks, joined

from prefect.errors import AuthenticationError, SignaturePolicyError
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey
from prefect.sealed.reading import open_manifest, open_sealed, verify
from prefect.sealed.writing import seal

KEY = EncryptionKey(b"k" * 32)
OTHER = EncryptionKey(b"o" * 32)
MANIFEST = b'{"a": "manifest"}'
PAYLOAD = bytes(range(256)) * 200  # several chunks of 16 KiB
SEALED = seal(MANIFEST, PAYLOAD, KEY)
IDENTITY, SIGNING_KEY, STRANGER = Identity.generate(), SigningKey.generate(), SigningKey.generate()
SIGNED = seal(MANIFEST, PAYLOAD, [KEY, OTHER, IDENTITY.recipient], signing_key=SIGNING_KEY)
OPENERS = [open_manifest, open_sealed, verify]


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


def test_the_wraps_of_another_file_are_refused():
    """A data key that the right key unwraps but that is another file's does not open this one."""
    core, _, rest = blocks(SEALED)
    with pytest.raises(AuthenticationError):
        open_sealed(joined(core, blocks(seal(MANIFEST, PAYLOAD, KEY))[1], rest), KEY)


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


def test_only_keys_open():
    """What is no key is a TypeError, not a refusal."""
    for keys in ([IDENTITY.recipient], [b"k" * 32], [SIGNING_KEY]):
        with pytest.raises(TypeError, match="opened by"):
            open_sealed(SIGNED, keys, trusted_signers=[SIGNING_KEY.signer])

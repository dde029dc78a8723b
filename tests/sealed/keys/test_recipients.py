"""`prefect.sealed.keys.recipients`."""

import base64
import copy
import pickle

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.recipients import Identity, Recipient

IDENTITY = Identity.generate()


@given(st.binary(min_size=96, max_size=96))
@settings(max_examples=30)
def test_an_identity_opens_what_its_recipient_wraps(raw):
    """Any 96 bytes are an identity; its public key wraps, and it alone unwraps."""
    identity = Identity("prefect-identity-1:" + base64.b64encode(raw).decode())
    recipient = Recipient(identity.recipient.encode())
    wrapped = recipient.wrap(b"d" * 32, b"")
    assert identity.unwrap(wrapped, b"") == b"d" * 32
    assert len(wrapped) == 1168
    assert identity == IDENTITY or IDENTITY.unwrap(wrapped, b"") is None
    assert recipient.id == identity.id


def test_the_text_is_the_key():
    """Bytes and str spell the same keys, and come back as they were."""
    for key in (IDENTITY, IDENTITY.recipient):
        text = key.encode()
        assert type(key)(text) == type(key)(text.encode()) == key
        assert hash(type(key)(text)) == hash(key)
        assert type(key)(text).encode() == text
        assert key != text
    assert Identity.generate() != IDENTITY


@pytest.mark.parametrize("kind", [Identity, Recipient])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-4],
        lambda text: text.partition(":")[2],
        lambda text: text.replace("-1:", "-2:"),
        lambda text: text.upper(),
        lambda text: text[:-1] + "ü",
        lambda text: "prefect-signer-1:" + text.partition(":")[2],
    ],
)
def test_what_spells_no_key_is_refused_without_being_quoted(kind, spoil):
    """Another prefix, length or alphabet is an InvalidKeyError that shows nothing of the key."""
    good = (IDENTITY if kind is Identity else IDENTITY.recipient).encode()
    with pytest.raises(InvalidKeyError, match="prefect keygen --recipient") as caught:
        kind(spoil(good))
    assert good.partition(":")[2][:20] not in str(caught.value)
    with pytest.raises(TypeError, match="str or bytes"):
        kind(5)


def test_bytes_that_are_no_public_key_are_refused():
    """Neither half of a recipient may be nonsense, whether seen at once or when it is used."""
    raw = base64.b64decode(IDENTITY.recipient.encode().partition(":")[2])
    with pytest.raises(InvalidKeyError):
        Recipient("prefect-recipient-1:" + base64.b64encode(b"\xff" * 1216).decode())
    small_order = raw[:-32] + bytes(32)
    with pytest.raises(InvalidKeyError):
        Recipient("prefect-recipient-1:" + base64.b64encode(small_order).decode()).wrap(
            bytes(32), b""
        )


def test_an_identity_shows_itself_to_nobody():
    """Neither repr nor any kind of pickling gives it away."""
    assert IDENTITY.encode()[30:60] not in repr(IDENTITY) + str(IDENTITY)
    for dump in (pickle.dumps, cloudpickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="never pickled"):
            dump(IDENTITY)


@given(st.binary(max_size=1200))
def test_noise_is_not_unwrapped(noise):
    """Whatever bytes stand in a wrap, the answer is that they are not for this identity."""
    assert IDENTITY.unwrap(noise, b"") is None

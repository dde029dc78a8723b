"""`prefect.sealed.keys.signers`."""

import copy
import pickle

import cloudpickle
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.signers import Signer, SigningKey, pre_authentication_encoding
from prefect.sealed.keys.text import spell

KEY = SigningKey(spell(SigningKey.prefix, b"s" * 32))


@given(st.binary(max_size=300), st.binary(min_size=64, max_size=64))
def test_a_signature_is_its_makers_and_of_its_core(core, noise):
    """The signer accepts it over this core, over no other, and nothing else as one."""
    signature = KEY.sign(core)
    assert KEY.signer.has_signed(core, signature)
    assert not KEY.signer.has_signed(core + b"x", signature)
    assert not KEY.signer.has_signed(core, noise)
    assert not SigningKey.generate().signer.has_signed(core, signature)


def test_what_is_signed_is_the_encoding_of_dsse():
    """The signature is plain Ed25519 over DSSE's encoding, with lengths as decimal numbers."""
    encoded = b"DSSEv1 40 application/vnd.prefect.sealed-flow+json 2 {}"
    assert pre_authentication_encoding(b"{}") == encoded
    assert KEY.sign(b"{}") == Ed25519PrivateKey.from_private_bytes(b"s" * 32).sign(encoded)


def test_the_text_is_the_key():
    """Bytes and str spell the same keys, and come back as they were."""
    for key in (KEY, KEY.signer):
        text = key.encode()
        assert type(key)(text) == type(key)(text.encode()) == key
        assert hash(type(key)(text)) == hash(key)
        assert key != text
    assert KEY.id == KEY.signer.id


@pytest.mark.parametrize("kind", [SigningKey, Signer])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[:-5],
        lambda text: text.partition(":")[2],
        lambda text: text.replace("=", ""),
        lambda text: text[:-2] + "1=",  # spare bits set
        lambda text: "prefect-identity-1:" + text.partition(":")[2],
    ],
)
def test_what_spells_no_key_is_refused_without_being_quoted(kind, spoil):
    """Another prefix, length or spelling is an InvalidKeyError that shows nothing of the key."""
    good = (KEY if kind is SigningKey else KEY.signer).encode()
    with pytest.raises(InvalidKeyError, match="prefect keygen --signing") as caught:
        kind(spoil(good))
    assert good.partition(":")[2][:10] not in str(caught.value)
    with pytest.raises(TypeError, match="str or bytes"):
        kind(None)


def test_a_signing_key_shows_itself_to_nobody():
    """Neither repr nor any kind of pickling gives it away."""
    assert KEY.encode()[-20:] not in repr(KEY) + str(KEY)
    for dump in (pickle.dumps, cloudpickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="never pickled"):
            dump(KEY)

"""`prefect.sealed.keys.encryption`."""

import base64
import copy
import pickle

import cloudpickle
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.encryption import EncryptionKey


def test_a_generated_key_has_the_shape_of_a_fernet_key():
    """A new key is 44 characters of URL-safe base64 that Fernet would take too."""
    key = EncryptionKey.generate()
    assert len(key.encode()) == 44
    Fernet(key.encode())
    assert EncryptionKey.generate() != key


@given(st.binary(min_size=32, max_size=32))
def test_every_spelling_of_a_key_is_the_same_key(raw):
    """Raw bytes, base64 bytes and base64 text name one key and its one id."""
    text = base64.urlsafe_b64encode(raw)
    keys = [EncryptionKey(raw), EncryptionKey(text), EncryptionKey(text.decode())]
    assert keys[0] == keys[1] == keys[2]
    assert len({key.id for key in keys}) == len(set(keys)) == 1
    assert keys[0].encode() == text.decode()


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"short",
        "a passphrase that somebody thought would do as a key",
        b"x" * 31,
        b"x" * 33,
        "x" * 32,  # raw keys are bytes
        base64.urlsafe_b64encode(b"x" * 31),
        base64.urlsafe_b64encode(b"x" * 33),
        base64.urlsafe_b64encode(b"\xff" * 32).rstrip(b"="),
        base64.b64encode(b"\xff" * 32),  # the other alphabet
        base64.urlsafe_b64encode(b"x" * 32)[:-2] + b"5=",  # spare bits set
        base64.urlsafe_b64encode(b"x" * 32)[:10] + b"\n" + base64.urlsafe_b64encode(b"x" * 32)[10:],
        b"x" * 32 + b"\n",  # a raw key has no white space around it
        "ключ" * 11,
    ],
)
def test_what_has_not_the_shape_of_a_key_is_refused_without_being_quoted(bad):
    """A wrong length, alphabet or spelling is an InvalidKeyError that does not show the key."""
    with pytest.raises(InvalidKeyError, match="prefect keygen") as caught:
        EncryptionKey(bad)
    assert isinstance(caught.value, ValueError)
    if bad:
        assert (bad if isinstance(bad, str) else bad.decode("latin1")) not in str(caught.value)


@pytest.mark.parametrize("bad", [None, 5, object(), ["key"]])
def test_a_key_of_another_type_is_a_type_error(bad):
    """Only bytes and str can spell a key."""
    with pytest.raises(TypeError, match="bytes or str"):
        EncryptionKey(bad)


def test_a_key_shows_itself_to_nobody():
    """Neither repr nor any kind of pickling gives a key away."""
    key = EncryptionKey.generate()
    assert key.encode() not in repr(key) + str(key)
    for dump in (pickle.dumps, cloudpickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="never pickled"):
            dump(key)


def test_derived_keys_differ_by_purpose():
    """Two purposes never share a subkey, and a subkey is not the key."""
    key = EncryptionKey(b"k" * 32)
    derived = {key.derive("a"), key.derive("b"), b"k" * 32, bytes.fromhex(key.id)}
    assert len(derived) == 4
    assert key.derive("a") == key.derive("a")

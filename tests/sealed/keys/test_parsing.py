"""`prefect.sealed.keys.parsing`."""

import pytest

from prefect.errors import InvalidKeyError
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.parsing import parse_key
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey

IDENTITY, SIGNING_KEY = Identity.generate(), SigningKey.generate()
KEYS = [
    EncryptionKey.generate(), IDENTITY, IDENTITY.recipient, SIGNING_KEY, SIGNING_KEY.signer,
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=lambda key: type(key).__name__)
def test_each_kind_is_recognised_by_its_text(key):
    """From str, from any kind of bytes and from itself, the same key of the same kind comes back."""
    text = key.encode()
    data = text.encode()
    for spelled in (text, data, bytearray(data), memoryview(data), key):
        parsed = parse_key(spelled)
        assert (type(parsed), parsed) == (type(key), key)


@pytest.mark.parametrize(
    "text", ["", "x", "prefect-", "prefect-identity-1:", "prefect-identity-2:AAAA", b"\xff" * 44]
)
def test_what_is_no_key_is_refused(text):
    """Unknown kinds and malformed texts are InvalidKeyErrors."""
    with pytest.raises(InvalidKeyError):
        parse_key(text)
    with pytest.raises(TypeError, match="str or bytes"):
        parse_key(None)

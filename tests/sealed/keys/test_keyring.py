"""`prefect.sealed.keys.keyring`: the keys that a `PickleEnvironment` is made with."""

import base64
import pickle

import cloudpickle
import pytest

from prefect.environments import PickleEnvironment
from prefect.errors import (
    ArtifactError,
    AuthenticationError,
    InvalidKeyError,
    SignaturePolicyError,
)
from prefect.sealed.keys.encryption import EncryptionKey
from prefect.sealed.keys.keyring import Keyring
from prefect.sealed.keys.parsing import parse_key
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.keys.signers import SigningKey
from prefect.sealed.reading import outline

IDENTITY, SIGNING_KEY = Identity.generate(), SigningKey.generate()
RECIPIENT, SIGNER = IDENTITY.recipient.encode(), SIGNING_KEY.signer.encode()
SENDING = {"recipients": [RECIPIENT], "signing_key": SIGNING_KEY.encode()}
READING = {"identity": IDENTITY.encode(), "trusted_signers": [SIGNER]}


def test_a_keyring_seals_with_the_first_and_opens_with_any(flow):
    """Old files open with a keyring that new ones do not need."""
    old, new = PickleEnvironment(), PickleEnvironment()
    keyring = PickleEnvironment([new.encryption_key, old.encryption_key])
    assert keyring.encryption_key == new.encryption_key
    assert keyring.info(old.build(flow))["name"] == flow.name
    sealed = keyring.build(flow)
    assert new.info(sealed)["name"] == flow.name
    with pytest.raises(AuthenticationError):
        old.info(sealed)


def test_a_recipient_opens_what_was_sealed_by_a_public_key(flow):
    """No key is shared, none is generated, and only the identity opens."""
    sender, receiver = PickleEnvironment(**SENDING), PickleEnvironment(**READING)
    sealed = sender.build(flow)
    assert [alg for alg, _ in outline(sealed).key_ids] == ["HPKE-MLKEM768-X25519"]
    assert receiver.info(sealed)["name"] == flow.name
    assert receiver.run(sealed).is_successful()
    with pytest.raises(ArtifactError, match="no encryption key"):
        _ = sender.encryption_key
    with pytest.raises(ArtifactError, match="no key to open"):
        sender.run()
    with pytest.raises(ArtifactError, match="no key to seal"):
        receiver.build(flow)


def test_a_key_and_recipients_open_the_same_file(flow):
    """With both, the key opens it, and so does each identity."""
    environment = PickleEnvironment(EncryptionKey.generate().encode(), **SENDING)
    sealed = environment.build(flow)
    assert environment.info(sealed) == PickleEnvironment(**READING).info(sealed)


@pytest.mark.parametrize(
    "spell", [str, lambda key: key.encode(), lambda key: key], ids=["text", "bytes", "object"]
)
def test_every_key_is_taken_as_text_as_bytes_and_as_itself(flow, spell):
    """All keys of an environment have the same three spellings, alone and in a list."""

    def spelled(key):
        return spell(key) if spell(key) is key else spell(key.encode())

    own = EncryptionKey.generate()
    sender = PickleEnvironment(
        spelled(own), recipients=spelled(IDENTITY.recipient), signing_key=spelled(SIGNING_KEY)
    )
    receiver = PickleEnvironment(
        identity=[spelled(IDENTITY)], trusted_signers=spelled(SIGNING_KEY.signer)
    )
    assert sender.encryption_key == own.encode()
    assert receiver.info(sender.build(flow))["name"] == flow.name


def test_recipients_need_a_signing_key():
    """The constructor says so."""
    with pytest.raises(SignaturePolicyError, match="signing key"):
        PickleEnvironment(recipients=[RECIPIENT])


def test_an_identity_needs_somebody_to_trust(flow):
    """Reading by it says so, for files and for nonsense that has the shape of one."""
    sealed = PickleEnvironment(**SENDING).build(flow)
    environment = PickleEnvironment(identity=IDENTITY.encode())
    for method in (environment.info, environment.run, environment.rewrap):
        with pytest.raises((SignaturePolicyError, ArtifactError)):
            method(sealed)
    with pytest.raises(SignaturePolicyError):
        environment.info(sealed)


def test_the_readers_policy_is_the_readers(flow):
    """Unsigned and otherwise signed files are refused, with the message of a wrong key."""
    key = EncryptionKey.generate().encode()
    demanding = PickleEnvironment(key, trusted_signers=[SIGNER])
    stranger = SigningKey.generate().encode()
    messages = set()
    for sealed in (
        PickleEnvironment(key).build(flow),
        PickleEnvironment(key, signing_key=stranger).build(flow),
        PickleEnvironment(signing_key=SIGNING_KEY.encode()).build(flow),
    ):
        for method in (demanding.info, demanding.run):
            with pytest.raises(AuthenticationError) as caught:
                method(sealed)
            messages.add(str(caught.value))
    assert len(messages) == 1
    signed = PickleEnvironment(key, signing_key=SIGNING_KEY.encode()).build(flow)
    assert demanding.run(signed).is_successful()


def test_a_key_is_exchanged_without_building_again(flow):
    """A keyring opens with the old key and seals for the new one; the old no longer opens it."""
    old, new = PickleEnvironment(), PickleEnvironment()
    keyring = PickleEnvironment([new.encryption_key, old.encryption_key])
    sealed = keyring.rewrap(old.build(flow))
    assert new.run(sealed).is_successful()
    with pytest.raises(AuthenticationError):
        old.info(sealed)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"encryption_key": []}, InvalidKeyError),
        ({"encryption_key": [b"x" * 32, b"short"]}, InvalidKeyError),
        ({"encryption_key": RECIPIENT}, InvalidKeyError),
        ({"encryption_key": 5}, TypeError),
        ({"recipients": [], "signing_key": SIGNING_KEY}, InvalidKeyError),
        ({"recipients": [IDENTITY.encode()], "signing_key": SIGNING_KEY}, InvalidKeyError),
        ({"recipients": [b"x" * 32], "signing_key": SIGNING_KEY}, InvalidKeyError),
        ({"recipients": [None], "signing_key": SIGNING_KEY}, TypeError),
        ({"identity": RECIPIENT}, InvalidKeyError),
        ({"identity": 5}, TypeError),
        ({"signing_key": SIGNER}, InvalidKeyError),
        ({"signing_key": 5}, TypeError),
        ({"trusted_signers": []}, InvalidKeyError),
        ({"trusted_signers": [SIGNING_KEY.encode()]}, InvalidKeyError),
        ({"trusted_signers": [5]}, TypeError),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value.__name__,
)
def test_keys_of_the_wrong_kind_are_refused(settings, error):
    """The constructor says so; an empty list is nobody, not everybody."""
    with pytest.raises(error):
        PickleEnvironment(**settings)


def test_no_private_key_is_shown_or_pickled(flow):
    """Neither repr, serialization nor pickles hold one, and an unpickled environment has none."""
    environment = PickleEnvironment(
        [b"k" * 32, b"l" * 32], **SENDING, **READING
    )  # fmt: skip
    flow.environment = environment
    private = [
        IDENTITY.encode().partition(":")[2][:40],
        SIGNING_KEY.encode().partition(":")[2],
        environment.encryption_key,
        "k" * 32,
        "l" * 32,
    ]
    shown = f"{environment!r} {vars(environment)} {environment.serialize()} {flow.serialize()}"
    for dump in (pickle.dumps, cloudpickle.dumps):
        data = dump(environment)
        shown += data.decode("latin1")
        with pytest.raises(ArtifactError, match="has no key"):
            pickle.loads(data).build(flow)
    assert not [key for key in private if key in shown]
    assert RECIPIENT[:60] not in shown
    assert environment.run(environment.build(flow)).is_successful()


@pytest.mark.parametrize("read", [lambda path: path.read_text(), lambda path: path.read_bytes()])
def test_a_key_is_taken_as_its_file_has_it(tmp_path, read):
    """With the newline that an editor and keygen end it with; raw bytes are taken as they are."""

    def kept(key):
        (tmp_path / "key").write_text(f" {key.encode()}\r\n")
        return read(tmp_path / "key")

    key, identity, signing = EncryptionKey.generate(), Identity.generate(), SigningKey.generate()
    keys = Keyring.of(
        kept(key),
        identity=kept(identity),
        recipients=kept(identity.recipient),
        signing_key=kept(signing),
        trusted_signers=kept(signing.signer),
    )
    assert keys.encryption_keys == (key,)
    assert keys.identities[0].encode() == identity.encode()
    assert keys.recipients == (identity.recipient,)
    assert keys.signing_key.encode() == signing.encode()
    assert keys.trusted_signers == (signing.signer,)
    assert all(type(parse_key(kept(one))) is type(one) for one in (key, identity, signing))
    raw = b" " * 31 + b"\n"
    assert EncryptionKey(raw) == EncryptionKey(base64.urlsafe_b64encode(raw))

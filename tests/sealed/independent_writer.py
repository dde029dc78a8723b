"""A second writer of sealed flows, for tests: with one fault, where one is asked for.

As the reader beside it, it imports nothing of `prefect` and not `cryptography.cobblestone`. All
that is random comes from a seed, but for a recipient's wrap, which HPKE makes of fresh keys; a
wrap that was made before can be given instead.
"""

import base64
import hashlib
import hmac
import json
import random
import struct

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from independent_reader import (
    CHUNK,
    LABEL,
    MAGIC,
    MAGIC_2,
    NONCE,
    SALT,
    SIGNED_TYPE,
    SUITE,
    chunk_keys,
    derive,
    wrapping_key,
)


def canonical(value) -> bytes:
    """Spell JSON in the one way that a header has."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def block(content: bytes) -> bytes:
    """Put its length before it."""
    return struct.pack(">I", len(content)) + content


def encrypt(key: bytes, name: bytes, plain: bytes, salt: bytes) -> bytes:
    """Make a section's ciphertext."""
    chunk_key, nonce, commitment = chunk_keys(key, LABEL + name, salt)
    aead = AESGCM(chunk_key)
    chunks = [
        aead.encrypt(
            (nonce ^ number).to_bytes(NONCE), plain[number * CHUNK : (number + 1) * CHUNK], None
        )
        for number in range(len(plain) // CHUNK + 1)
    ]
    return b"".join((salt, commitment, *chunks))


def public_of(identity: bytes) -> bytes:
    """Return the recipient (public, 1216 bytes) of an identity (private, 96 bytes)."""
    return (
        MLKEM768PrivateKey.from_seed_bytes(identity[:64]).public_key().public_bytes_raw()
        + X25519PrivateKey.from_private_bytes(identity[64:]).public_key().public_bytes_raw()
    )


def wrap_for_key(key: bytes, data_key: bytes, core: bytes) -> dict:
    """Wrap the data key under an encryption key."""
    wrapped = aes_key_wrap(wrapping_key(key, core), data_key)
    kid = derive(key, b"key id", 8).hex()
    return {"alg": "A256KW", "key": base64.b64encode(wrapped).decode(), "kid": kid}


def wrap_for_recipient(recipient: bytes, data_key: bytes, wrapped: bytes | None = None) -> dict:
    """Wrap the data key for a recipient, or take what was wrapped before."""
    if wrapped is None:
        public = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(recipient[:1184]),
            X25519PublicKey.from_public_bytes(recipient[1184:]),
        )
        wrapped = SUITE.encrypt(data_key, public, LABEL + b"recipient")
    return {
        "alg": "HPKE-MLKEM768-X25519",
        "key": base64.b64encode(wrapped).decode(),
        "kid": hashlib.sha512(recipient).digest()[:8].hex(),
    }


def sign(signing_key: bytes, core: bytes) -> dict:
    """Sign the core with an Ed25519 seed."""
    private = Ed25519PrivateKey.from_private_bytes(signing_key)
    message = b"DSSEv1 %d %b %d %b" % (len(SIGNED_TYPE), SIGNED_TYPE, len(core), core)
    return {
        "alg": "Ed25519",
        "kid": hashlib.sha512(private.public_key().public_bytes_raw()).digest()[:8].hex(),
        "sig": base64.b64encode(private.sign(message)).decode(),
    }


def _same(value):
    return value


def write(
    manifest: bytes,
    payload: bytes,
    further=(),
    *,
    seed: str,
    keys=(),
    recipients=(),
    signing_keys=(),
    payload_type="flow+cloudpickle",
    data_key: bytes | None = None,
    wrapped: bytes | None = None,
    section_keys=None,
    magic=_same,
    sections=_same,
    core=_same,
    wraps=_same,
    mac=_same,
    stored=_same,
    signatures=_same,
) -> bytes:
    """Write a sealed flow; each of the last seven arguments may change what is written, on the way.

    further: names and contents of further sections; with any, the file has version 2.
    section_keys: names under which the sections are encrypted, if not their own.
    magic, core, wraps: the first line and both JSONs, before the header MAC, which is right for what
    was made of them, as are the signatures. sections: all ciphertexts, before they are described.
    mac: the MAC. stored: all ciphertexts, after they were described. signatures: their JSON.
    """
    further = dict(further)
    names = ["manifest", "payload", *further]
    source = random.Random(seed)
    data_key = data_key or source.randbytes(32)
    ciphertexts = sections(
        [
            encrypt(derive(data_key, name), name, plain, source.randbytes(SALT))
            for name, plain in zip(
                section_keys or [name.encode() for name in names],
                (manifest, payload, *further.values()),
                strict=True,
            )
        ]
    )
    described = [
        {"length": f"{len(made):016x}", "sha256": hashlib.sha256(made).hexdigest()}
        | ({"name": name} if further else {})
        for name, made in zip(names, ciphertexts, strict=True)
    ]
    core_bytes = core(
        canonical(
            {"payload": payload_type, "sections": described, "suite": "cobblestone256-sha256"}
        )
    )
    listed = [wrap_for_key(key, data_key, core_bytes) for key in keys]
    listed += [wrap_for_recipient(recipient, data_key, wrapped) for recipient in recipients]
    line = magic(MAGIC_2 if further else MAGIC)
    header = line + block(core_bytes) + block(wraps(canonical(listed)))
    tag = mac(hmac.digest(derive(data_key, b"header", 64), header, "sha512"))
    signed = signatures(canonical([sign(key, core_bytes) for key in signing_keys]))
    return b"".join((header, tag, *stored(ciphertexts), block(signed)))

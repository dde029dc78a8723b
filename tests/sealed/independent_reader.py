"""A second reader of sealed flows, written from docs/sealed-flow.md alone.

It imports nothing of `prefect` and not `cryptography.cobblestone`: the sections are decrypted with
AES-GCM, and every derivation is written out on HMAC. It is slow, holds all in memory and knows the
file's header as regular expressions, which leave canonical JSON no second spelling.
"""

import base64
import binascii
import hashlib
import hmac
import re
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

LABEL = b"prefect sealed flow 1: "
MAGIC, MAGIC_2 = b"prefect sealed flow 1\n", b"prefect sealed flow 2\n"
SIGNED_TYPE = b"application/vnd.prefect.sealed-flow+json"
MAX_BLOCK, MAX_LISTED = 65536, 16
CHUNK, TAG, SALT, COMMITMENT, NONCE = 16384, 16, 24, 32, 12
SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA512, hpke.AEAD.AES_256_GCM)
KEY_SIZES = {b"A256KW": 40, b"HPKE-MLKEM768-X25519": 1120 + 32 + TAG, b"Ed25519": 64}

_LIMITS = {b"manifest": 2**28, b"payload": 2**40, b"files": 2**40, b"wheels": 2**40}


def _section(name=b""):
    return rb'\{"length":"([0-9a-f]{16})",' + name + rb'"sha256":"([0-9a-f]{64})"\}'


def _core(names):
    named = [b'"name":"' + name + b'",' for name in names] if len(names) > 2 else [b"", b""]
    start, end = (
        rb'\{"payload":"([a-z0-9+.-]{1,64})","sections":\[',
        rb'\],"suite":"cobblestone256-sha256"\}',
    )
    return re.compile(start + b",".join(map(_section, named)) + end)


_CORES = {
    MAGIC: [(b"manifest", b"payload")],
    MAGIC_2: [
        (b"manifest", b"payload", b"files"),
        (b"manifest", b"payload", b"wheels"),
        (b"manifest", b"payload", b"files", b"wheels"),
    ],
}
_BASE64, _KID = rb'"([A-Za-z0-9+/]+={0,2})"', rb'"([0-9a-f]{16})"'
_WRAP = rb'\{"alg":"(A256KW|HPKE-MLKEM768-X25519)","key":' + _BASE64 + b',"kid":' + _KID + rb"\}"
_SIGNATURE = rb'\{"alg":"(Ed25519)","kid":' + _KID + b',"sig":' + _BASE64 + rb"\}"


class Malformed(Exception):  # noqa: N818 - named by what the file is
    """Anyone can see, without a key, that this is no sealed flow of version 1 or 2."""


class Refused(Exception):  # noqa: N818
    """The keys, the bytes or the signatures are not those that they should be."""


def read(data, *, keys=(), identities=(), trusted_signers=()):
    """Return the payload's type, the manifest, the payload and, by name, the further sections.

    keys: raw encryption keys of 32 bytes. identities: raw private keys of 96 bytes.
    trusted_signers: raw Ed25519 public keys of 32 bytes; none of them means no policy.
    """
    core, payload_type, wraps, header, mac, sections, signatures = _parsed(data)
    if identities and not trusted_signers:
        raise ValueError("who reads with an identity must name the signers that are trusted")
    if trusted_signers and not _signed(core, signatures, trusted_signers):
        raise Refused("signature")
    data_key = _unwrapped(wraps, core, keys, identities, header, mac)
    plain = {}
    for name, section, digest in sections:
        if hashlib.sha256(section).hexdigest().encode() != digest:
            raise Refused("section digest")
        plain[name.decode()] = _decrypted(derive(data_key, name), LABEL + name, section)
    return payload_type, plain.pop("manifest"), plain.pop("payload"), plain


def _parsed(data):
    magic = data[: len(MAGIC)]
    if magic not in _CORES:
        raise Malformed("magic line")
    core, position = _block(data, len(magic))
    payload_type, described = _described(core, _CORES[magic])
    block, position = _block(data, position)
    wraps = [(alg, _decoded(alg, key)) for alg, key, _ in _listed(_WRAP, block)]
    if not wraps:
        raise Malformed("no wraps")
    header, mac = data[:position], data[position : position + 64]
    position += 64
    sections = []
    for name, length, digest in described:
        size = int(length, 16)
        if not SALT + COMMITMENT + TAG <= size <= _LIMITS[name] or position + size > len(data):
            raise Malformed("section length")
        sections.append((name, data[position : position + size], digest))
        position += size
    block, position = _block(data, position)
    signatures = [_decoded(alg, sig) for alg, _, sig in _listed(_SIGNATURE, block)]
    if position != len(data):
        raise Malformed("trailing bytes")
    return core, payload_type, wraps, header, mac, sections, signatures


def _described(core, shapes):
    for names in shapes:
        if found := _core(names).fullmatch(core):
            payload_type, *values = found.groups()
            return payload_type.decode(), list(zip(names, values[::2], values[1::2], strict=True))
    raise Malformed("core")


def _block(data, position):
    if len(data) < position + 4:
        raise Malformed("ends within a length")
    (length,) = struct.unpack_from(">I", data, position)
    if not 1 <= length <= MAX_BLOCK or len(data) < position + 4 + length:
        raise Malformed("block length")
    return data[position + 4 : position + 4 + length], position + 4 + length


def _listed(entry, block):
    if not re.fullmatch(rb"\[(?:" + entry + b"(?:," + entry + rb")*)?\]", block):
        raise Malformed("list")
    found = re.findall(entry, block)
    if len(found) > MAX_LISTED:
        raise Malformed("too many entries")
    return found


def _decoded(alg, text):
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Malformed("base64") from None
    if base64.b64encode(raw) != text or len(raw) != KEY_SIZES[alg]:
        raise Malformed("base64")
    return raw


def _signed(core, signatures, trusted_signers):
    message = b"DSSEv1 %d %b %d %b" % (len(SIGNED_TYPE), SIGNED_TYPE, len(core), core)
    for signer in trusted_signers:
        for signature in signatures:
            try:
                Ed25519PublicKey.from_public_bytes(signer).verify(signature, message)
            except InvalidSignature:
                continue
            return True
    return False


def _unwrapped(wraps, core, keys, identities, header, mac):
    for data_key in _candidates(wraps, core, keys, identities):
        expected = hmac.digest(derive(data_key, b"header", 64), header, "sha512")
        if len(data_key) == 32 and hmac.compare_digest(expected, mac):
            return data_key
    raise Refused("no key fits")


def _candidates(wraps, core, keys, identities):
    for alg, wrapped in wraps:
        if alg == b"A256KW":
            for key in keys:
                try:
                    yield aes_key_unwrap(wrapping_key(key, core), wrapped)
                except InvalidUnwrap:
                    continue
        else:
            for identity in identities:
                private = hpke.MLKEM768X25519PrivateKey(
                    MLKEM768PrivateKey.from_seed_bytes(identity[:64]),
                    X25519PrivateKey.from_private_bytes(identity[64:]),
                )
                try:
                    yield SUITE.decrypt(wrapped, private, LABEL + b"recipient")
                except (InvalidTag, ValueError):  # ValueError: a public key chosen to harm
                    continue


def derive(secret, purpose, length=32):
    """HKDF-SHA512 of RFC 5869, with no salt."""
    return expand(hmac.digest(bytes(64), secret, "sha512"), LABEL + purpose, length)


def wrapping_key(key, core):
    """Return the key under which a data key is wrapped for one core."""
    return derive(key, b"key wrap " + hashlib.sha256(core).digest())


def expand(prk, info, length):
    """HKDF-Expand of RFC 5869 with SHA-512."""
    blocks, block = b"", b""
    for number in range(1, -(-length // 64) + 1):
        block = hmac.digest(prk, block + info + bytes([number]), "sha512")
        blocks += block
    return blocks[:length]


def chunk_keys(key, context, salt):
    """Return the key, the base nonce and the commitment of a Cobblestone-256 message."""
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    derived = expand(key, info, 32 + NONCE + COMMITMENT)
    return derived[:32], int.from_bytes(derived[32 : 32 + NONCE]), derived[32 + NONCE :]


def _decrypted(key, context, section):
    salt, commitment = section[:SALT], section[SALT : SALT + COMMITMENT]
    chunk_key, nonce, expected = chunk_keys(key, context, salt)
    if not hmac.compare_digest(commitment, expected):
        raise Refused("commitment")
    aead, plain, chunks = AESGCM(chunk_key), [], section[SALT + COMMITMENT :]
    # There is always a last chunk of less than 16 KiB, if need be an empty one.
    for number in range(len(chunks) // (CHUNK + TAG) + 1):
        chunk = chunks[number * (CHUNK + TAG) : (number + 1) * (CHUNK + TAG)]
        try:
            plain.append(aead.decrypt((nonce ^ number).to_bytes(NONCE), chunk, None))
        except InvalidTag:
            raise Refused("chunk") from None
    return b"".join(plain)

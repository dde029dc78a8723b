"""Detached SSH signatures (SSHSIG): checked by `ssh-keygen -Y verify`, without this software.

Not left to `ssh-keygen -Y sign`: slim Python images, where builds sign, lack it, and it refuses keys
that a platform has mounted for others to read. The signing itself is that of `cryptography`.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from prefect.errors import InvalidKeyError
from prefect.sealed.source import SealedSource, opened

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

NAMESPACE: Final = b"file"
_MAGIC: Final = b"SSHSIG"
_HASH: Final = b"sha512"
_LINE: Final = 70
_EC_HASHES: Final[dict[int, tuple[bytes, HashAlgorithm]]] = {
    256: (b"nistp256", SHA256()),
    384: (b"nistp384", SHA384()),
    521: (b"nistp521", SHA512()),
}


def ssh_sign(source: SealedSource, private_key: bytes) -> bytes:
    """Return an armoured SSH signature over all bytes of a file.

    Args:
        private_key: the text of an OpenSSH private key: Ed25519, ECDSA or RSA, without passphrase.

    Raises:
        InvalidKeyError: it is no such key.
        TypeError: `source` is neither bytes nor a path.
        OSError: the file cannot be read.
    """
    key = _load(private_key)
    sha512 = hashlib.sha512()
    with opened(source) as file:
        for piece in file.pieces(0, file.size):
            sha512.update(piece)
    head = _string(NAMESPACE) + _string(b"") + _string(_HASH)
    signature = _sign(key, _MAGIC + head + _string(sha512.digest()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    blob = base64.b64decode(public.split()[1])
    packet = _MAGIC + struct.pack(">I", 1) + _string(blob) + head + _string(signature)
    text = base64.b64encode(packet).decode()
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return "\n".join(
        ["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""]
    ).encode()


_SshKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def _load(text: bytes) -> _SshKey:
    try:
        key: PrivateKeyTypes = load_ssh_private_key(text, None)
    except TypeError:
        raise InvalidKeyError(
            "This SSH key has a passphrase. Sign with OpenSSH itself, which asks for it or uses "
            "the agent: ssh-keygen -Y sign -n file -f KEY FILE"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidKeyError(
            "This is no OpenSSH private key that can sign. `ssh-keygen -t ed25519 -f FILE` makes "
            "one; for keys in hardware use: ssh-keygen -Y sign -n file -f KEY FILE"
        ) from None
    if not isinstance(key, _SshKey):
        raise InvalidKeyError("SSH keys that sign are Ed25519, ECDSA or RSA, not DSA")
    return key


def _sign(key: _SshKey, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _string(b"ssh-ed25519") + _string(key.sign(data))
    if isinstance(key, rsa.RSAPrivateKey):
        signed = key.sign(data, padding.PKCS1v15(), SHA512())
        return _string(b"rsa-sha2-512") + _string(signed)
    name, hashing = _EC_HASHES[key.curve.key_size]
    numbers = decode_dss_signature(key.sign(data, ec.ECDSA(hashing)))
    return _string(b"ecdsa-sha2-" + name) + _string(b"".join(map(_mpint, numbers)))


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _mpint(number: int) -> bytes:
    # One bit more than it has, so that it is not read as negative.
    return _string(number.to_bytes(number.bit_length() // 8 + 1, "big"))

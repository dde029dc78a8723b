r"""The sealed flow: manifest and payload, encrypted and authenticated in one file.

    magic line                      b"prefect sealed flow 1\n"
    core length, core               u32 big-endian, canonical JSON: suite, what the payload is,
                                    length and SHA-512 of each section's ciphertext
    wraps length, wraps             u32 big-endian, canonical JSON: the data key, wrapped once
                                    for each key that may open the file
    header MAC                      HMAC-SHA512 over everything above, by the data key
    manifest section                Cobblestone (C2SP chunked-encryption) ciphertext
    payload section                 the same, under another subkey

Nothing of the flow stands in clear, not even its name. `open_manifest` never decrypts the
payload, and nothing here can load a pickle: bytes leave this module only after every one of
them was authenticated. Construction and reasons: docs/sealed-flow.md.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import struct
from dataclasses import dataclass
from typing import Any, Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from prefect.errors import AuthenticationError, FormatError
from prefect.packaging.keys import KEY_BYTES, EncryptionKey, derive

MAGIC: Final = b"prefect sealed flow 1\n"
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_WRAPS: Final = 64
_MAC_BYTES: Final = 64
_SUITE: Final = "cobblestone256-sha512"
_WRAP_ALGORITHM: Final = "A256KW"
_MANIFEST, _PAYLOAD = "manifest", "payload"
_SECTIONS: Final = (_MANIFEST, _PAYLOAD)
_U32: Final = struct.Struct(">I")

FLOW_PAYLOAD: Final = "flow+cloudpickle"


@dataclass(frozen=True, slots=True)
class SealedFlow:
    """What an opened sealed flow holds, all of it authenticated."""

    payload_type: str
    manifest: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Section:
    offset: int
    length: int
    sha512: bytes


@dataclass(frozen=True, slots=True)
class _Header:
    payload_type: str
    sections: dict[str, _Section]
    wraps: list[tuple[str, bytes]]  # (key id, wrapped data key)
    authenticated: bytes
    mac: bytes


def seal(
    manifest: bytes, payload: bytes, key: EncryptionKey, *, payload_type: str = FLOW_PAYLOAD
) -> bytes:
    """Encrypt manifest and payload for the holder of `key`.

    The result is about 0.1 % larger than its parts (16 bytes for each 16 KiB) plus 700 bytes.
    """
    data_key = secrets.token_bytes(KEY_BYTES)
    sections = [
        _encrypt(data_key, name, plain)
        for name, plain in zip(_SECTIONS, (manifest, payload), strict=True)
    ]
    core = _canonical(
        {
            "payload": payload_type,
            "sections": [
                {"length": len(section), "sha512": hashlib.sha512(section).hexdigest()}
                for section in sections
            ],
            "suite": _SUITE,
        }
    )
    wrapped = aes_key_wrap(key.derive("key wrap"), data_key)
    wraps = _canonical(
        [{"alg": _WRAP_ALGORITHM, "key": base64.b64encode(wrapped).decode(), "kid": key.id}]
    )
    header = b"".join((MAGIC, _U32.pack(len(core)), core, _U32.pack(len(wraps)), wraps))
    return b"".join((header, _header_mac(data_key, header), *sections))


def is_sealed(data: bytes) -> bool:
    """Tell whether the bytes begin as a sealed flow of any version does."""
    return data.startswith(MAGIC[: MAGIC.rindex(b" ")])


def open_manifest(sealed: bytes, key: EncryptionKey) -> SealedFlow:
    """Return what a sealed flow says of itself; the payload is left out, unread.

    Raises:
        TypeError: `sealed` is not bytes.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        AuthenticationError: the key does not open it, or bytes of the header or manifest
            were changed.
    """
    view, header = _read(sealed)
    manifest = _decrypt(_unwrap(header, key), _MANIFEST, header.sections[_MANIFEST], view)
    return SealedFlow(header.payload_type, manifest, b"")


def open_sealed(sealed: bytes, key: EncryptionKey) -> SealedFlow:
    """Authenticate every byte and return what the sealed flow holds.

    Raises:
        TypeError: `sealed` is not bytes.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        AuthenticationError: the key does not open it, or any byte was changed.
    """
    view, header = _read(sealed)
    data_key = _unwrap(header, key)
    manifest, payload = (
        _decrypt(data_key, name, header.sections[name], view) for name in _SECTIONS
    )
    return SealedFlow(header.payload_type, manifest, payload)


def _read(sealed: bytes) -> tuple[memoryview, _Header]:
    if not isinstance(sealed, bytes | bytearray | memoryview):
        raise TypeError(f"A sealed flow is bytes, not {type(sealed).__name__}")
    view = memoryview(sealed).cast("B")
    header = _parse_header(view)
    end = max(section.offset + section.length for section in header.sections.values())
    if len(view) < end:
        raise FormatError(
            f"This sealed flow is incomplete: {len(view)} of {end} bytes are here. Copy it again"
        )
    if len(view) > end:
        raise FormatError(f"This sealed flow has {len(view) - end} bytes after its end")
    return view, header


def _parse_header(view: memoryview) -> _Header:
    # No length is believed before it is compared with a limit and with the bytes at hand.
    line = bytes(view[: len(MAGIC)])
    if line != MAGIC:
        raise FormatError(_not_sealed(line))
    core_bytes, position = _read_block(view, len(MAGIC))
    wraps_bytes, position = _read_block(view, position)
    authenticated = bytes(view[:position])
    mac = bytes(view[position : position + _MAC_BYTES])
    if len(mac) < _MAC_BYTES:
        raise FormatError("This sealed flow ends within its header. Copy it again")
    payload_type, sections = _parse_core(_strict_json(core_bytes), position + _MAC_BYTES)
    wraps = _parse_wraps(_strict_json(wraps_bytes))
    return _Header(payload_type, sections, wraps, authenticated, mac)


def _not_sealed(line: bytes) -> str:
    if is_sealed(line):
        return "This sealed flow has a version that this release does not read. Upgrade prefect"
    if line and MAGIC.startswith(line):
        return "This sealed flow ends within its first line. Copy it again"
    if not line:
        return "This is not a sealed flow: it is empty"
    return "This is not a sealed flow: it does not begin as `prefect build -o FILE.flow` writes it"


def _read_block(view: memoryview, position: int) -> tuple[bytes, int]:
    start = position + _U32.size
    if len(view) < start:
        raise FormatError("This sealed flow ends within its header. Copy it again")
    (length,) = _U32.unpack(view[position:start])
    if length > MAX_HEADER_BYTES:
        raise FormatError("This sealed flow is malformed: its header is larger than 64 KiB")
    if len(view) < start + length:
        raise FormatError("This sealed flow ends within its header. Copy it again")
    return bytes(view[start : start + length]), start + length


def _parse_core(core: Any, offset: int) -> tuple[str, dict[str, _Section]]:
    _require_keys(core, {"payload", "sections", "suite"})
    if core["suite"] != _SUITE:
        raise FormatError("This sealed flow uses a suite that this release lacks. Upgrade prefect")
    if not isinstance(core["payload"], str):
        raise FormatError("This sealed flow is malformed: its payload's type is not a string")
    listed = core["sections"]
    if not isinstance(listed, list) or len(listed) != len(_SECTIONS):
        raise FormatError("This sealed flow is malformed: it does not have two sections")
    sections = {}
    for name, entry in zip(_SECTIONS, listed, strict=True):
        _require_keys(entry, {"length", "sha512"})
        length, digest = entry["length"], entry["sha512"]
        if type(length) is not int or not 0 <= length < 2**53:
            raise FormatError("This sealed flow is malformed: a section's length is no length")
        sections[name] = _Section(offset, length, _parse_hex(digest))
        offset += length
    return core["payload"], sections


def _parse_wraps(wraps: Any) -> list[tuple[str, bytes]]:
    if not isinstance(wraps, list) or not 0 < len(wraps) <= MAX_WRAPS:
        raise FormatError(f"This sealed flow is malformed: not 1 to {MAX_WRAPS} wrapped keys")
    parsed = []
    for wrap in wraps:
        _require_keys(wrap, {"alg", "key", "kid"})
        if wrap["alg"] != _WRAP_ALGORITHM:
            raise FormatError("This sealed flow wraps its key in an unknown way. Upgrade prefect")
        if not isinstance(wrap["kid"], str) or not isinstance(wrap["key"], str):
            raise FormatError("This sealed flow is malformed: a wrapped key is not text")
        try:
            parsed.append((wrap["kid"], base64.b64decode(wrap["key"], validate=True)))
        except (binascii.Error, ValueError) as error:
            raise FormatError("This sealed flow is malformed: a wrapped key is no key") from error
    return parsed


def _parse_hex(digest: Any) -> bytes:
    try:
        raw = bytes.fromhex(digest)
    except (TypeError, ValueError):
        raw = b""
    if len(raw) != hashlib.sha512().digest_size:
        raise FormatError("This sealed flow is malformed: a section's digest is no SHA-512")
    return raw


def _require_keys(value: Any, keys: set[str]) -> None:
    if not isinstance(value, dict) or value.keys() != keys:
        raise FormatError(
            f"This sealed flow is malformed: its header does not hold exactly {sorted(keys)}"
        )


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _strict_json(data: bytes) -> Any:
    """Parse JSON that has but one spelling: what is read must marshal to the same bytes."""
    try:
        value = json.loads(data)
        canonical = _canonical(value) == data
    except (ValueError, RecursionError) as error:
        raise FormatError("This sealed flow is malformed: its header is not JSON") from error
    if not canonical:  # duplicate keys, spare white space, other escapes, other numbers
        raise FormatError("This sealed flow is malformed: its header is not canonical JSON")
    return value


def _unwrap(header: _Header, key: EncryptionKey) -> bytes:
    wrapping_key = key.derive("key wrap")
    # The key id is a hint and unauthenticated: it sets the order of attempts, nothing else.
    for _, wrapped in sorted(header.wraps, key=lambda wrap: wrap[0] != key.id):
        try:
            data_key = aes_key_unwrap(wrapping_key, wrapped)
        except InvalidUnwrap:
            continue
        if hmac.compare_digest(_header_mac(data_key, header.authenticated), header.mac):
            return data_key
    raise _refused()


def _header_mac(data_key: bytes, header: bytes) -> bytes:
    return hmac.digest(derive(data_key, "header", _MAC_BYTES), header, "sha512")


def _context(name: str) -> bytes:
    return b"prefect sealed flow 1: " + name.encode()


def _encrypt(data_key: bytes, name: str, plain: bytes) -> bytes:
    encryptor = Cobblestone256Encryptor(derive(data_key, name), _context(name))
    return encryptor.update(plain) + encryptor.finalize()


def _decrypt(data_key: bytes, name: str, section: _Section, view: memoryview) -> bytes:
    ciphertext = view[section.offset : section.offset + section.length]
    if not hmac.compare_digest(hashlib.sha512(ciphertext).digest(), section.sha512):
        raise _refused()
    decryptor = Cobblestone256Decryptor(derive(data_key, name), _context(name))
    try:
        return decryptor.update(ciphertext) + decryptor.finalize()
    except InvalidTag:
        raise _refused() from None


def _refused() -> AuthenticationError:
    return AuthenticationError(
        "This sealed flow cannot be opened: the key is not one of its keys, or its bytes were "
        "changed. Check the key, then get the file again from who sealed it"
    )

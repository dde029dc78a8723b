r"""The sealed flow: manifest and payload, encrypted, authenticated and signed in one file.

    magic line                      b"prefect sealed flow 1\n"
    core                            what the payload is; length and SHA-256 of both sections
    wraps                           the data key, wrapped for each key that may open the file
    header MAC                      over everything above, by the data key
    manifest section                Cobblestone (C2SP chunked-encryption) ciphertext
    payload section                 the same, under another subkey
    signatures                      over the core

docs/sealed-flow.md is the specification. `open_manifest` never decrypts the payload, and nothing
here can load a pickle: bytes leave this module only after every one of them was authenticated.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag

from prefect.errors import AuthenticationError, SignaturePolicyError
from prefect.sealed.format import (
    FLOW_PAYLOAD,
    MAGIC,
    MAX_WRAPS,
    Layout,
    Section,
    is_sealed,
    read_layout,
)
from prefect.sealed.keys.encryption import EncryptionKey, derive
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.source import PIECE_BYTES, SealedSource, Source, opened
from prefect.sealed.writing import (
    MANIFEST,
    PAYLOAD,
    header_mac,
    section_context,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.sealed.keys.parsing import OpeningKey
    from prefect.sealed.keys.signers import Signer

__all__ = [
    "FLOW_PAYLOAD", "MAGIC", "MAX_WRAPS", "Outline", "SealedFlow", "authenticate", "is_sealed",
    "open_manifest", "open_sealed", "outline",
    "refused", "verify",
]  # fmt: skip

_CHUNK_BYTES, _TAG_BYTES, _PREFIX_BYTES = 16 * 1024, 16, 24 + 32
_SPARE_BYTES: Final = 4 * _CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class SealedFlow:
    """What an opened sealed flow holds, all of it authenticated."""

    payload_type: str
    manifest: bytes
    payload: bytes | bytearray


@dataclass(frozen=True, slots=True)
class Outline:
    """What anyone can see of a sealed flow, without a key; nothing of it is authenticated.

    Args:
        manifest_bytes, payload_bytes: lengths of the ciphertexts, hardly more than of what is in
            them.
        key_ids: of whom may open it, by algorithm.
        signer_ids: of whose signatures are there, valid or not.
    """

    payload_type: str
    manifest_bytes: int
    payload_bytes: int
    key_ids: list[tuple[str, str]]
    signer_ids: list[str]


def outline(source: SealedSource) -> Outline:
    """Return what anyone can see of a sealed flow, without a key.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        OSError: the file cannot be read.
    """
    with opened(source) as file:
        return _outline(read_layout(file))


def open_manifest(
    source: SealedSource,
    keys: OpeningKey | Iterable[OpeningKey],
    *,
    trusted_signers: Iterable[Signer] | None = None,
) -> SealedFlow:
    """Return what a sealed flow says of itself; the payload is left out, unread.

    Args:
        source: the bytes, or the path of a file.
        keys: any of them may open it.
        trusted_signers: one of them must have signed it; None asks for no signature.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        AuthenticationError: no key opens it, no trusted signer signed it, or bytes of the header
            or manifest were changed.
        OSError: the file cannot be read.
    """
    with opened(source) as file:
        layout = read_layout(file)
        data_key = authenticate(layout, keys, trusted_signers)
        manifest = _Section.manifest(layout).decrypt(file, data_key)
        return SealedFlow(layout.core.payload_type, bytes(manifest), b"")


def open_sealed(
    source: SealedSource,
    keys: OpeningKey | Iterable[OpeningKey],
    *,
    trusted_signers: Iterable[Signer] | None = None,
) -> SealedFlow:
    """Authenticate every byte and return what the sealed flow holds.

    Args:
        source: the bytes, or the path of a file.
        keys: any of them may open it.
        trusted_signers: one of them must have signed it; None asks for no signature.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        AuthenticationError: no key opens it, no trusted signer signed it, or any byte was changed.
        OSError: the file cannot be read.
    """
    with opened(source) as file:
        layout = read_layout(file)
        data_key = authenticate(layout, keys, trusted_signers)
        manifest = _Section.manifest(layout).decrypt(file, data_key)
        payload = _Section.payload(layout).decrypt(file, data_key)
        return SealedFlow(layout.core.payload_type, bytes(manifest), payload)


def verify(
    source: SealedSource,
    keys: OpeningKey | Iterable[OpeningKey],
    *,
    trusted_signers: Iterable[Signer] | None = None,
) -> tuple[Outline, list[Signer]]:
    """Authenticate every byte, keep none, and return who of the trusted signers signed.

    Args:
        source: the bytes, or the path of a file.
        keys: any of them may open it.
        trusted_signers: one of them must have signed it; None asks for no signature.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        AuthenticationError: no key opens it, no trusted signer signed it, or any byte was changed.
        OSError: the file cannot be read.
    """
    trusted = None if trusted_signers is None else list(trusted_signers)
    with opened(source) as file:
        layout = read_layout(file)
        data_key = authenticate(layout, keys, trusted)
        _Section.manifest(layout).decrypt(file, data_key, keep=False)
        _Section.payload(layout).decrypt(file, data_key, keep=False)
        return _outline(layout), [s for s in trusted or () if _has_signed(s, layout)]


def authenticate(
    layout: Layout,
    keys: OpeningKey | Iterable[OpeningKey],
    trusted_signers: Iterable[Signer] | None,
) -> bytes:
    """Check signatures and header, and return the data key that opens the sections.

    Raises:
        TypeError: something among the keys is no key to open with.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        AuthenticationError: no key opens it, no trusted signer signed it, or it was changed.
    """
    listed = [keys] if isinstance(keys, EncryptionKey | Identity) else list(keys)
    for key in listed:
        if not isinstance(key, EncryptionKey | Identity):
            raise TypeError(f"A flow is opened by keys and identities, not {type(key).__name__}")
    if trusted_signers is not None and not any(_has_signed(s, layout) for s in trusted_signers):
        raise refused()
    # Encryption keys first: with one that fits, an identity in the same keyring is not used.
    for key in sorted(listed, key=lambda key: isinstance(key, Identity)):
        if isinstance(key, Identity) and trusted_signers is None:
            raise SignaturePolicyError(
                "An identity opens what anybody may have made: name the signers that you trust, "
                "with trusted_signers or --trusted-signer"
            )
        if data_key := _unwrap(layout, key):
            return data_key
    raise refused()


def refused() -> AuthenticationError:
    """Return the one error for everything that a key or a signature should have proven."""
    return AuthenticationError(
        "This sealed flow cannot be opened: no key here is one of its keys, no trusted signer "
        "signed it, or its bytes were changed. Check the key and the signers, then get the file "
        "again from who sealed it"
    )


def _outline(layout: Layout) -> Outline:
    return Outline(
        payload_type=layout.core.payload_type,
        manifest_bytes=layout.core.manifest.length,
        payload_bytes=layout.core.payload.length,
        key_ids=[(wrap.alg, wrap.kid) for wrap in layout.wraps],
        signer_ids=[signature.kid for signature in layout.signatures],
    )


def _has_signed(signer: Signer, layout: Layout) -> bool:
    return any(signer.has_signed(layout.core_json, item.sig) for item in layout.signatures)


def _unwrap(layout: Layout, key: OpeningKey) -> bytes | None:
    fitting = [wrap for wrap in layout.wraps if wrap.alg == key.algorithm]
    # The key id is a hint and unauthenticated: it sets the order of attempts, nothing else.
    for wrap in sorted(fitting, key=lambda wrap: wrap.kid != key.id):
        data_key = key.unwrap(wrap.key, layout.core_json)
        if data_key and hmac.compare_digest(header_mac(data_key, layout.authenticated), layout.mac):
            return data_key
    return None


@dataclass(frozen=True, slots=True)
class _Section:
    """A section where it stands in a file."""

    name: str
    offset: int
    section: Section

    @classmethod
    def manifest(cls, layout: Layout) -> _Section:
        return cls(MANIFEST, layout.sections_at, layout.core.manifest)

    @classmethod
    def payload(cls, layout: Layout) -> _Section:
        return cls(PAYLOAD, layout.payload_at, layout.core.payload)

    def decrypt(self, file: Source, data_key: bytes, *, keep: bool = True) -> bytearray:
        """Return the plaintext, once its end is authenticated; without `keep`, just check it."""
        decryptor = Cobblestone256Decryptor(derive(data_key, self.name), section_context(self.name))
        sha256 = hashlib.sha256()
        plain = bytearray(self._plain_bytes if keep else PIECE_BYTES + _SPARE_BYTES)
        room = memoryview(plain)
        try:
            for piece in file.pieces(self.offset, self.section.length):
                sha256.update(piece)
                count = decryptor.update_into(piece, room)
                room = room[count:] if keep else room
            rest = decryptor.finalize()
            room[: len(rest)] = rest
        except (InvalidTag, ValueError):  # a tag, or a length that no plaintext gives
            raise refused() from None
        if not hmac.compare_digest(sha256.digest(), self.section.sha256):
            raise refused()
        return plain

    @property
    def _plain_bytes(self) -> int:
        # Full chunks, and a last one that is never full: at least its tag is there.
        full, last = divmod(self.section.length - _PREFIX_BYTES, _CHUNK_BYTES + _TAG_BYTES)
        return full * _CHUNK_BYTES + max(0, last - _TAG_BYTES)

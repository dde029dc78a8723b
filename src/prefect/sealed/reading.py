r"""The sealed flow: manifest, payload and more, encrypted, authenticated and signed in one file.

    magic line                      b"prefect sealed flow 1\n", or 2 with further sections
    core                            what the payload is; length and SHA-256 of all sections
    wraps                           the data key, wrapped for each key that may open the file
    header MAC                      over everything above, by the data key
    manifest section                Cobblestone (C2SP chunked-encryption) ciphertext
    payload section                 the same, under another subkey
    files, wheels                   the same, where there are such
    signatures                      over the core

docs/sealed-flow.md is the specification. `open_manifest` decrypts no other section, and nothing
here can load a pickle: a payload leaves this module only after every byte of it was authenticated.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidTag

from prefect.frozen import frozen
from prefect.sealed.authentication import authenticate, has_signed, refused
from prefect.sealed.format import MANIFEST, PAYLOAD, Layout, read_layout
from prefect.sealed.keys.encryption import EncryptionKey, derive
from prefect.sealed.keys.recipients import Identity
from prefect.sealed.source import PIECE_BYTES, SealedSource, Source, opened
from prefect.sealed.writing import section_context

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect.sealed.keys.parsing import OpeningKey
    from prefect.sealed.keys.signers import Signer

_CHUNK_BYTES, _TAG_BYTES, _PREFIX_BYTES = 16 * 1024, 16, 24 + 32
_OPENS: Final = {
    EncryptionKey.algorithm: "the encryption key",
    Identity.algorithm: "the identity",
}
_SPARE_BYTES: Final = 4 * _CHUNK_BYTES


@frozen
class SealedFlow:
    """Manifest and payload of an opened sealed flow, authenticated."""

    payload_type: str
    manifest: bytes
    payload: bytes | bytearray


@frozen
class Outline:
    """What anyone can see of a sealed flow, without a key; nothing of it is authenticated.

    Args:
        manifest_bytes, payload_bytes: lengths of the ciphertexts, hardly more than of what is in
            them.
        further_bytes: the same of each further section, by its name.
        key_ids: of whom may open it, by algorithm.
        signer_ids: of whose signatures are there, valid or not.
    """

    payload_type: str
    manifest_bytes: int
    payload_bytes: int
    further_bytes: dict[str, int]
    key_ids: list[tuple[str, str]]
    signer_ids: list[str]

    @property
    def opens_for(self) -> str:
        """Whose keys are said to open it, for messages."""
        return " or ".join(f"{_OPENS.get(alg, alg)} {kid}" for alg, kid in self.key_ids)


def outline(source: SealedSource) -> Outline:
    """Return what anyone can see of a sealed flow, without a key.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        OSError: the file cannot be read.
    """
    with opened(source) as file:
        return _outline(read_layout(file))


def signers_of(source: SealedSource, known: Iterable[Signer]) -> list[Signer]:
    """Return those of some signers whose valid signatures a sealed flow has.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        OSError: the file cannot be read.
    """
    with opened(source) as file:
        layout = read_layout(file)
    return [one for one in known if has_signed(one, layout)]


class SealedReader:
    """A sealed flow that `opening` opened; each section is authenticated as it is read.

    Sections can be read in any order, several at a time, and again.

    Args:
        layout: what anyone can read of the file, signatures included: they are not authenticated
            by the header, as the rest of it is.
    """

    def __init__(self, file: Source, layout: Layout, data_key: bytes) -> None:
        self.layout = layout
        self._placed = layout.placed
        self._file = file
        self._data_key = data_key

    @property
    def payload_type(self) -> str:
        """What the payload is."""
        return self.layout.core.payload_type

    @property
    def sections(self) -> tuple[str, ...]:
        """The names of the sections that there are: "manifest", "payload" and further ones."""
        return tuple(self._placed)

    def manifest(self) -> bytes:
        """Return the manifest.

        Raises:
            AuthenticationError: its bytes were changed.
            FormatError: the file became shorter while it was read.
            OSError: the file cannot be read.
        """
        return bytes(self._whole(MANIFEST))

    def payload(self) -> bytearray:
        """Return the payload, once its end is authenticated.

        Raises:
            AuthenticationError: its bytes were changed.
            FormatError: the file became shorter while it was read.
            OSError: the file cannot be read.
        """
        return self._whole(PAYLOAD)

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield what a section holds, in pieces of at most 128 KiB, before its end was seen.

        Each piece is authentic and in its place. Only when the last was taken is it known that the
        section is whole: after an error, what was taken until then must be thrown away.

        Raises:
            ValueError: there is no section of this name.
            AuthenticationError: its bytes were changed, or it ends too early.
            FormatError: the file became shorter while it was read.
            OSError: the file cannot be read.
        """
        self._require(name)
        return (bytes(piece) for piece in self._decrypted(name, _room()) if piece)

    def check(self, name: str) -> None:
        """Authenticate every byte of a section, and keep none.

        Raises:
            ValueError: there is no section of this name.
            AuthenticationError: its bytes were changed, or it ends too early.
            FormatError: the file became shorter while it was read.
            OSError: the file cannot be read.
        """
        self._require(name)
        for _ in self._decrypted(name, _room()):
            pass

    def _require(self, name: str) -> None:
        if name not in self._placed:
            raise ValueError(f"This sealed flow has no section {name!r}")

    def _whole(self, name: str) -> bytearray:
        plain = bytearray(_plain_bytes(self._placed[name][0].length))
        for _ in self._decrypted(name, memoryview(plain), keep=True):
            pass
        return plain

    def _decrypted(
        self, name: str, room: memoryview, *, keep: bool = False
    ) -> Iterator[memoryview]:
        """Yield a section's plaintext as it lies in `room`.

        Args:
            keep: each piece lies behind the one before; else in its place.
        """
        section, start = self._placed[name]
        decryptor = Cobblestone256Decryptor(derive(self._data_key, name), section_context(name))
        sha256 = hashlib.sha256()
        for piece in self._file.pieces(start, section.length):
            sha256.update(piece)
            try:
                count = decryptor.update_into(piece, room)
            except (InvalidTag, ValueError):  # a tag, or a length that no plaintext gives
                raise refused() from None
            yield room[:count]
            room = room[count:] if keep else room
        try:
            rest = decryptor.finalize()
            room[: len(rest)] = rest
        except (InvalidTag, ValueError):
            raise refused() from None
        if not hmac.compare_digest(sha256.digest(), section.sha256):
            raise refused()
        yield room[: len(rest)]


def _room() -> memoryview:
    return memoryview(bytearray(PIECE_BYTES + _SPARE_BYTES))


def _plain_bytes(length: int) -> int:
    # Full chunks, and a last one that is never full: at least its tag is there.
    full, last = divmod(length - _PREFIX_BYTES, _CHUNK_BYTES + _TAG_BYTES)
    return full * _CHUNK_BYTES + max(0, last - _TAG_BYTES)


@contextmanager
def opening(
    source: SealedSource,
    keys: OpeningKey | Iterable[OpeningKey],
    *,
    trusted_signers: Iterable[Signer] | None = None,
) -> Iterator[SealedReader]:
    """Open a sealed flow, to read what is wanted of its sections while it is open.

    Args:
        source: the bytes, or the path of a file.
        keys: any of them may open it.
        trusted_signers: one of them must have signed it; None asks for no signature.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        AuthenticationError: no key opens it, no trusted signer signed it, or bytes of the header
            were changed.
        OSError: the file cannot be read.
    """
    with opened(source) as file:
        layout = read_layout(file)
        yield SealedReader(file, layout, authenticate(layout, keys, trusted_signers))


def open_manifest(
    source: SealedSource,
    keys: OpeningKey | Iterable[OpeningKey],
    *,
    trusted_signers: Iterable[Signer] | None = None,
) -> SealedFlow:
    """Return what a sealed flow says of itself; all other sections are left out, unread.

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
    with opening(source, keys, trusted_signers=trusted_signers) as flow:
        return SealedFlow(flow.payload_type, flow.manifest(), b"")


def open_sealed(
    source: SealedSource,
    keys: OpeningKey | Iterable[OpeningKey],
    *,
    trusted_signers: Iterable[Signer] | None = None,
) -> SealedFlow:
    """Authenticate every byte, further sections too; return the manifest and the payload.

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
    with opening(source, keys, trusted_signers=trusted_signers) as flow:
        opened_flow = SealedFlow(flow.payload_type, flow.manifest(), flow.payload())
        for name in flow.sections[2:]:
            flow.check(name)
        return opened_flow


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
    with opening(source, keys, trusted_signers=trusted) as flow:
        for name in flow.sections:
            flow.check(name)
        return _outline(flow.layout), [s for s in trusted or () if has_signed(s, flow.layout)]


def _outline(layout: Layout) -> Outline:
    manifest, payload, *further = layout.core.sections
    return Outline(
        payload_type=layout.core.payload_type,
        manifest_bytes=manifest.length,
        payload_bytes=payload.length,
        further_bytes={section.name: section.length for section in further},
        key_ids=[(wrap.alg, wrap.kid) for wrap in layout.wraps],
        signer_ids=[signature.kid for signature in layout.signatures],
    )

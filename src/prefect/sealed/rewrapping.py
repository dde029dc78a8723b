"""Changing who may open a sealed flow, or who has signed it; the sections stay byte for byte."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, BinaryIO

from prefect.errors import ArtifactError, AuthenticationError, SignaturePolicyError
from prefect.sealed.authentication import authenticate, refused
from prefect.sealed.format import (
    MAX_SIGNATURES,
    Layout,
    Signature,
    block,
    read_layout,
    signatures_to_json,
)
from prefect.sealed.keys.recipients import Recipient
from prefect.sealed.source import SealedSource, Source, opened
from prefect.sealed.writing import header, unsigned, wrap_for, wrapping_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prefect.sealed.keys.parsing import OpeningKey, WrappingKey
    from prefect.sealed.keys.signers import Signer, SigningKey


def rewrap(
    source: SealedSource,
    file: BinaryIO,
    keys: OpeningKey | Iterable[OpeningKey],
    to: WrappingKey | Iterable[WrappingKey],
    *,
    trusted_signers: Iterable[Signer] | None = None,
) -> None:
    """Write a sealed flow anew so that the holders of `to` can open it, and nobody else.

    Wraps and the header's MAC change; sections and signatures do not. Every byte of them is compared
    with what the header says: a damaged file is not made to look like a good one, but what was
    written until then is to be thrown away. Who could open the former
    file has seen its data key, and can open the new one too if they kept that: to shut somebody
    out of what they could read, build the flow again.

    Raises:
        TypeError, InvalidKeyError: `to` are not 1 to 16 keys to seal with.
        SignaturePolicyError: there are recipients and the file is unsigned, or an identity has to
            open it and no trusted signers are named.
        FormatError, AuthenticationError: it cannot be opened.
        OSError: a file cannot be read or written.
    """
    holders = wrapping_keys(to)
    with opened(source) as old:
        layout = read_layout(old)
        data_key = authenticate(layout, keys, trusted_signers)
        if not layout.signatures and any(isinstance(key, Recipient) for key in holders):
            raise SignaturePolicyError(unsigned())
        wraps = wrap_for(holders, data_key, layout.core_json)
        file.write(header(layout.core.magic, layout.core_json, wraps, data_key))
        if not _copy_sections(old, layout, file.write):
            raise refused()
        file.write(block(signatures_to_json(layout.signatures)))


def add_signature(source: SealedSource, file: BinaryIO, key: SigningKey) -> None:
    """Write a sealed flow anew with one more signature; nothing else changes.

    This needs no key that opens it: what is signed are the digests of all sections, which are
    compared with the sections; what was written until then is to be thrown away after an error.

    Raises:
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        AuthenticationError: its sections are not those that its header names.
        ArtifactError: it has 16 signatures.
        OSError: a file cannot be read or written.
    """
    with opened(source) as old:
        layout = read_layout(old)
        signature = Signature(key.id, key.sign(layout.core_json))
        signatures = [item for item in layout.signatures if item != signature]
        if len(signatures) == MAX_SIGNATURES:
            raise ArtifactError(f"This sealed flow has {MAX_SIGNATURES} signatures, and no room")
        file.write(old.read(0, layout.sections_at))
        if not _copy_sections(old, layout, file.write):
            raise _damaged()
        file.write(block(signatures_to_json([*signatures, signature])))


def require_intact(source: SealedSource) -> None:
    """Compare a sealed flow's sections with their digests, before something else signs it.

    This needs no key that opens it either.

    Raises:
        FormatError: it is no sealed flow, is malformed, or is incomplete.
        AuthenticationError: its sections are not those that its header names.
        OSError: the file cannot be read.
    """
    with opened(source) as file:
        if not _copy_sections(file, read_layout(file), len):
            raise _damaged()


def _damaged() -> AuthenticationError:
    return AuthenticationError(
        "This sealed flow is not signed: its content is not what its header says. Get the file again "
        "from who sealed it"
    )


def _copy_sections(old: Source, layout: Layout, write: Callable[[memoryview], object]) -> bool:
    """Copy all sections; tell whether what was copied has the digests that the core names."""
    intact = True
    for section, at in layout.placed.values():
        sha256 = hashlib.sha256()
        for piece in old.pieces(at, section.length):
            sha256.update(piece)
            write(piece)
        intact &= hmac.compare_digest(sha256.digest(), section.sha256)
    return intact

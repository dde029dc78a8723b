"""A sealed flow looked into and opened, given a keyring: for environments, images and the worker alike.

Info passes here to `read_manifest`, run to `open_flow`. Nothing here unpickles: who opens a flow gets
the bytes of its payload, every one of them authenticated. `sealing` is the way there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from prefect.errors import AuthenticationError, FormatError, NotAFlowError
from prefect.payload.attachments import attachments, unpack
from prefect.payload.manifest import Manifest
from prefect.pyz.index import read_whole_index
from prefect.pyz.reading import is_pyz
from prefect.sealed import reading, rewrapping
from prefect.sealed.format import FILES, FLOW_PAYLOAD, FURTHER, WHEELS
from prefect.sealed.source import opened_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path
    from typing import BinaryIO

    from prefect.pyz.index import Index
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.source import SealedSource


def read_manifest(source: SealedSource, keyring: Keyring) -> Manifest:
    """Return what a sealed flow says of itself; the payload is left out, unread.

    Args:
        source: the bytes, or the path of a file, of which only the manifest is read.
        keyring: any of its keys opens, and one of its trusted signers must have signed.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        NotAFlowError: it does not hold a Flow.
        FormatError, AuthenticationError: it cannot be opened.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        OSError: the file cannot be read.
    """
    opened = reading.open_manifest(
        source, keyring.to_open(), trusted_signers=keyring.trusted_signers
    )
    _require_flow(opened.payload_type)
    return Manifest.from_json(opened.manifest)


def index_of(source: SealedSource) -> Index | None:
    """Return the index of what stands in the clear beside a sealed flow; None where nothing does.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        FormatError: it is malformed, or what stands there is not what the index says.
        OSError: the file cannot be read.
    """
    with opened_whole(source) as whole:
        return read_whole_index(whole) if is_pyz(whole) else None


def require_built_so(source: SealedSource, keyring: Keyring) -> Index | None:
    """Compare what stands in the clear beside a sealed flow with what this says of it.

    Returns:
        The index of that; None where nothing stands there.

    Raises:
        FormatError, AuthenticationError: as `read_manifest` raises them; or it is something else.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        OSError: the file cannot be read.
    """
    index = index_of(source)
    if index is not None and index.digest != read_manifest(source, keyring).runtime:
        raise AuthenticationError(
            "What stands in the clear in this file, and runs it, is not what was there when its flow was "
            "sealed: do not run it by itself. Get the file again from who built it; `prefect run` takes "
            "the sealed flow alone"
        )
    return index


def open_flow(
    source: SealedSource,
    keyring: Keyring,
    directory: Callable[[], Path] | None = None,
    wheels: Callable[[], Path] | None = None,
    wanted: Callable[[Manifest], Collection[str]] | None = None,
) -> tuple[Manifest, bytes | bytearray]:
    """Authenticate every byte of a sealed flow; return its manifest and its payload, still pickled.

    Args:
        source: the bytes, or the path of a file.
        keyring: any of its keys opens, and one of its trusted signers must have signed.
        directory: asked, where files travel, for an empty directory that they are unpacked in; None
            leaves them packed. After an error it has what is to be thrown away.
        wheels: the same for wheels that travel.
        wanted: tells which of the wheels are to be unpacked, by their files' names; None is all.

    Raises:
        TypeError: `source` is neither bytes nor a path.
        NotAFlowError: it does not hold a Flow.
        FormatError, AuthenticationError: it cannot be opened.
        ArtifactError: its files are not those that its manifest lists.
        SignaturePolicyError: an identity has to open it, and no trusted signers are named.
        OSError: the file cannot be read, or one cannot be written.
    """
    with reading.opening(
        source, keyring.to_open(), trusted_signers=keyring.trusted_signers
    ) as sealed:
        _require_flow(sealed.payload_type)
        described, payload = sealed.manifest(), sealed.payload()
        for name in FURTHER:  # all is authentic before anything of it is parsed, or written
            if name in sealed.sections:
                sealed.check(name)
        manifest = Manifest.from_json(described)
        parts = (FILES, attachments(manifest.files), directory), (
            WHEELS, attachments(manifest.wheels), wheels,
        )  # fmt: skip
        if any(bool(listed) != (name in sealed.sections) for name, listed, _ in parts):
            raise FormatError("This sealed flow has other sections than its manifest tells of")
        only = None if wanted is None or wheels is None else frozenset(wanted(manifest))
        for name, listed, place in parts:
            chosen = only if name == WHEELS else None
            if listed and place is not None and (chosen is None or chosen):
                unpack(listed, sealed.pieces(name), place(), only=chosen)
    return manifest, payload


def key_of(source: SealedSource, keyring: Keyring) -> str:
    """Return that of a keyring's encryption keys which opens a sealed flow, as text.

    Raises:
        ArtifactError: the keyring has no encryption key.
        AuthenticationError: none of them opens it; identities are not asked.
        FormatError: it is no sealed flow.
        OSError: the file cannot be read.
    """
    keyring.first()
    *others, last = keyring.encryption_keys
    for key in others:
        with suppress(AuthenticationError):
            reading.open_manifest(source, [key])
            return key.encode()
    reading.open_manifest(source, [last])
    return last.encode()


def rewrap_flow(source: SealedSource, file: BinaryIO, keyring: Keyring) -> None:
    """Write a sealed flow that any key of a keyring opens anew, for those that it seals for.

    Raises:
        FormatError, AuthenticationError: it cannot be opened.
        ArtifactError: the keyring has no key to open or none to seal with.
        SignaturePolicyError: there are recipients and the sealed flow is unsigned, or an identity
            has to open it and no trusted signers are named.
        OSError: a file cannot be read or written.
    """
    rewrapping.rewrap(
        source, file, keyring.to_open(), keyring.to_seal(), trusted_signers=keyring.trusted_signers
    )


def _require_flow(payload_type: str) -> None:
    if payload_type != FLOW_PAYLOAD:
        raise NotAFlowError(f"This file holds no Flow but {payload_type!r}")

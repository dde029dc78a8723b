"""A flow as a sealed flow, given a keyring: for environments and images alike. `opening` is the way back."""

from __future__ import annotations

import io
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PicklingError
from prefect.files import replacing
from prefect.frozen import field, frozen
from prefect.payload.attachments import pack
from prefect.pyz.writing import around
from prefect.sealed.format import FILES, WHEELS
from prefect.sealed.writing import SealedWriter
from prefect.secrets.search import (
    MANIFEST,
    PAYLOAD,
    SOURCES,
    Forbidden,
    PartSearch,
    forbidden,
    in_file,
    refuse_at_rest,
)
from prefect.secrets.secret import secrets_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Sequence
    from typing import BinaryIO

    from prefect.core.flow import Flow
    from prefect.payload.attachments import Attachment
    from prefect.payload.including import Included
    from prefect.payload.manifest import Manifest
    from prefect.payload.own_modules import OwnModules
    from prefect.pyz.writing import Packed
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.keys.parsing import WrappingKey
    from prefect.secrets.secret import Secret
    from prefect.secrets.tokens import TokenSearch

# Payloads up to this size are pickled once; larger ones twice, so that memory stays bounded.
_PICKLED_ONCE_BYTES = 4 * 1024 * 1024


def seal_flow(
    flow: Flow,
    keyring: Keyring,
    secrets: Iterable[Secret] = (),
    allowed: Collection[str] = (),
    included: Included | None = None,
    own: OwnModules | None = None,
    *,
    complete: Callable[[Manifest], Manifest] | None = None,
) -> tuple[Manifest, bytes]:
    """Return a flow's manifest, and the flow sealed for the holders of a keyring.

    Args:
        flow: the flow to package.
        keyring: seals with its first encryption key and for its recipients, and signs.
        secrets: whose values may not occur in the flow, beside those that it names itself.
        allowed: names of what looks like a token and need not be warned of.
        included: the files that travel with it.
        own: modules that travel in wheels, and these wheels once the manifest is complete.
        complete: adds to the manifest what only follows once the flow is pickled.

    Raises:
        NotAFlowError: `flow` is not a Flow.
        FlowError: the flow is wrong as it is written.
        PicklingError: something in it cannot be pickled.
        SecretError: a secret's value, or a key, occurs in it.
        ArtifactError: there is no key to seal with, the flow is too large, or a file changes.
    """
    pickled = pickle_to_seal(flow, keyring, secrets, allowed, included, own)
    manifest = pickled.manifest if complete is None else complete(pickled.manifest)
    return manifest, pickled.seal(manifest)


@frozen
class FlowToSeal:
    """A flow that is pickled, and is sealed once its manifest is complete.

    Args:
        manifest: as far as pickling tells.
    """

    manifest: Manifest
    _payload: bytes = field(repr=False)
    _flow: Flow = field(repr=False)
    _keyring: Keyring = field(repr=False)
    _values: Forbidden = field(repr=False)
    _allowed: Collection[str]
    _included: Included | None
    _own: OwnModules | None

    def seal(self, manifest: Manifest) -> bytes:
        """Return the flow sealed, with this manifest.

        Raises:
            SecretError: a secret's value, or a key, occurs in what travels.
            ArtifactError: there is no key to seal with, the flow is too large, or a file changes.
        """
        from prefect.payload.packing import warn_of_fixed  # noqa: PLC0415 - to open needs neither
        from prefect.secrets.tokens import TokenSearch, warn_of_tokens  # noqa: PLC0415 - the same

        described = manifest.to_json()
        refuse_at_rest(self._values, {MANIFEST: described})
        tokens = TokenSearch()
        for part in (manifest.source_text(), described, self._payload):
            tokens.feed(part)
        sealed = io.BytesIO()
        holders = self._keyring.to_seal()
        writer = _writer(sealed, described, holders, self._keyring, self._included, self._own)
        writer.write(self._payload)
        _finish(writer, self._included, self._own, self._values, tokens)
        warn_of_tokens(tokens.finish(), self._allowed, self._flow, manifest.files)
        warn_of_fixed(manifest)
        return sealed.getvalue()


def pickle_to_seal(
    flow: Flow,
    keyring: Keyring,
    secrets: Iterable[Secret] = (),
    allowed: Collection[str] = (),
    included: Included | None = None,
    own: OwnModules | None = None,
) -> FlowToSeal:
    """Pickle a flow that is to be sealed later, for whom its manifest has more to tell by then.

    The arguments and the errors are those of `seal_flow`.
    """
    from prefect.payload.packing import pickle_flow_into, settle  # noqa: PLC0415 - as above

    keyring.to_seal()  # before what takes long
    # Not made canonical: what is sealed is random all the same.
    pickled = io.BytesIO()
    settle(flow, own)
    manifest = pickle_flow_into(flow, pickled, included, own)
    payload = pickled.getvalue()
    values = _forbidden(manifest, keyring, secrets)
    parts = {SOURCES: manifest.source_text(), PAYLOAD: payload, MANIFEST: manifest.to_json()}
    refuse_at_rest(values, parts)
    return FlowToSeal(manifest, payload, flow, keyring, values, allowed, included, own)


def seal_flow_to(
    path: os.PathLike[str] | str,
    flow: Flow,
    keyring: Keyring,
    secrets: Iterable[Secret] = (),
    allowed: Collection[str] = (),
    included: Included | None = None,
    own: OwnModules | None = None,
    *,
    complete: Callable[[Manifest], Manifest] | None = None,
    clear: Sequence[Packed] = (),
) -> Manifest:
    """Write a flow as a sealed flow into a file, however large it is; return its manifest.

    The pickle goes through the encryption piece by piece: no plaintext is put on disk, and none of
    it is held in memory beyond a few MiB. A former file at `path` is lost only to a complete one.

    Args:
        path: the file.
        flow: the flow to package.
        keyring: seals with its first encryption key and for its recipients, and signs.
        secrets: whose values may not occur in the flow, beside those that it names itself.
        allowed: names of what looks like a token and need not be warned of.
        included: the files that travel with it.
        own: modules that travel in wheels, and these wheels once the manifest is complete.
        complete: adds to the manifest what only follows once the flow is pickled.
        clear: what stands beside it in a file that runs by itself; nothing makes a sealed flow alone.

    Raises:
        NotAFlowError: `flow` is not a Flow.
        FlowError: the flow is wrong as it is written.
        PicklingError: something in it cannot be pickled, or changes while it is.
        SecretError: a secret's value, or a key, occurs in it.
        ArtifactError: there is no key to seal with, the flow is too large, or a file changes.
        OSError: the file cannot be written.
    """
    # As above.
    from prefect.payload.packing import pickle_flow_into, settle, warn_of_fixed  # noqa: PLC0415
    from prefect.secrets.tokens import TokenSearch, warn_of_tokens  # noqa: PLC0415

    holders = keyring.to_seal()
    # The manifest stands before the payload, and only pickling finds out what it requires.
    beginning = _Beginning()
    settle(flow, own)
    pickled = pickle_flow_into(flow, beginning, included, own)
    manifest = pickled if complete is None else complete(pickled)
    described = manifest.to_json()
    values = _forbidden(manifest, keyring, secrets)
    early = {SOURCES: manifest.source_text(), PAYLOAD: manifest.global_text()}
    refuse_at_rest(values, early | {MANIFEST: described})
    mode = 0o700 if clear else 0o600
    with replacing(Path(path), mode=mode) as file, around(file, clear) if clear else nullcontext():
        writer = _writer(file, described, holders, keyring, included, own)
        tokens = TokenSearch()
        tokens.feed(described)
        payload = PartSearch(writer, values, tokens)
        if beginning.is_all:
            payload.write(bytes(beginning.content))
        elif pickle_flow_into(flow, payload, included, own, again=True) != pickled:
            raise PicklingError(
                f"The flow {flow.name!r} is pickled twice, and differed: something changes it "
                "while it is packaged. Build it when nothing does"
            )
        _finish(writer, included, own, values, tokens)
    warn_of_tokens(tokens.finish(), allowed, flow, manifest.files)
    warn_of_fixed(manifest)
    return manifest


def _forbidden(manifest: Manifest, keyring: Keyring, secrets: Iterable[Secret]) -> Forbidden:
    # Two of one name may have different values: one that was set, one of the environment.
    return forbidden((*secrets_of(manifest.flow), *secrets), keyring.private_texts())


def _writer(
    file: BinaryIO,
    manifest: bytes,
    holders: Sequence[WrappingKey],
    keyring: Keyring,
    included: Included | None,
    own: OwnModules | None,
) -> SealedWriter:
    further = [FILES] if included and included.files else []
    further += [WHEELS] if own is not None and own.attached else []
    return SealedWriter(file, manifest, holders, signing_key=keyring.signing_key, further=further)


def _finish(
    writer: SealedWriter,
    included: Included | None,
    own: OwnModules | None,
    values: Forbidden,
    tokens: TokenSearch,
) -> None:
    """Write the files and the wheels that travel, each searched as the payload is, and the end."""
    if included and included.files:
        writer.begin(FILES)
        pack(
            included.files,
            writer.write,
            lambda one: PartSearch(None, values, tokens, in_file(one.path)),
        )
    if own is not None and own.attached:
        _search_wheels(own.own, values, tokens)
        writer.begin(WHEELS)
        pack(own.attached, writer.write)
    writer.finish()


def _search_wheels(wheels: Iterable[Attachment], values: Forbidden, tokens: TokenSearch) -> None:
    """Search what is in wheels, which may be compressed."""
    from prefect.payload.own_modules import members  # noqa: PLC0415 - for wheels alone

    for wheel in wheels:
        for name, member in members(wheel.source or Path()):
            search = PartSearch(None, values, tokens, in_file(f"{wheel.path}/{name}"))
            for piece in member.pieces():
                search.write(piece)


class _Beginning:
    """Keeps a payload as long as it is small, and forgets it when it becomes large."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.is_all = True

    def write(self, data: bytes | memoryview) -> int:
        self.is_all = self.is_all and len(self.content) + len(data) <= _PICKLED_ONCE_BYTES
        if self.is_all:
            self.content += data
        else:
            self.content.clear()
        return len(data)

"""A flow as the files that an image holds of it: in the open, or sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.dependencies.requirements import requirement_name
from prefect.frozen import field, frozen
from prefect.images.labels import LABEL_FLOW, LABEL_MANIFEST, LABEL_SEALED
from prefect.payload.attachments import contents
from prefect.payload.own_modules import OwnModules
from prefect.payload.packing import pickle_flow, warn_of_fixed
from prefect.running.flow_directory import FLOW_DIRECTORY, MANIFEST_FILE, PAYLOAD_FILE, SEALED_FILE
from prefect.secrets.search import MANIFEST, PAYLOAD, SOURCES, forbidden, in_file, refuse_at_rest
from prefect.secrets.secret import Secret, secrets_of
from prefect.secrets.tokens import refuse_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from prefect.core.flow import Flow
    from prefect.dependencies.wheels import Wheel
    from prefect.payload.attachments import Attachment
    from prefect.payload.image_facts import ImageFacts
    from prefect.payload.including import Included
    from prefect.payload.manifest import Manifest
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealing import FlowToSeal
    from prefect.secrets.search import InPieces


def _no_modules() -> OwnModules:
    return OwnModules(lambda _names: {}, projects=())


@frozen
class PackagedFlow:
    """A flow that is packaged for images, and becomes files once it is known for which.

    Args:
        manifest: as far as pickling tells.
        payload: the flow, or how it is sealed.
        needs: what running it needs beside the flow's own requirements.
        attached: the files that travel beside it, in the open.
    """

    manifest: Manifest
    payload: bytes | FlowToSeal = field(repr=False)
    labels: dict[str, str]
    needs: tuple[str, ...] = ()
    attached: tuple[Attachment, ...] = ()
    _own: OwnModules = field(default_factory=_no_modules, repr=False)
    _sealed: dict[bytes, bytes] = field(default_factory=dict, repr=False)

    @property
    def sealed(self) -> bool:
        """Whether the flow, and the wheels that travel with it, are encrypted."""
        return not isinstance(self.payload, bytes)

    def files(self, image: ImageFacts, wheels: Sequence[Wheel] = ()) -> dict[str, bytes]:
        """Return the files that an image holds of it, by name.

        What was sealed for the same image before is the same file again.

        Args:
            image: what the manifest tells of it.
            wheels: that travel with the flow.

        Raises:
            SecretError: a secret's value, or a key, occurs in what is sealed.
            ArtifactError: it cannot be sealed.
        """
        manifest = self._own.bring(self.manifest, wheels).of_image(image)
        described = manifest.to_json()
        if isinstance(self.payload, bytes):
            return {MANIFEST_FILE: described, PAYLOAD_FILE: self.payload}
        if described not in self._sealed:
            self._sealed[described] = self.payload.seal(manifest)
        return {SEALED_FILE: self._sealed[described]}


def package(
    flow: Flow,
    secrets: Iterable[Secret],
    keyring: Keyring | None,
    allowed: Collection[str] = (),
    included: Included | None = None,
    own: OwnModules | None = None,
) -> PackagedFlow:
    """Package a flow: in the open, or sealed where there is a key for it.

    Args:
        flow: the flow.
        secrets: whose values may not occur in it, beside those that it names itself.
        keyring: seals it.
        allowed: names of what looks like a token and may be in it in the open.
        included: the files that travel with it.
        own: modules that travel in wheels, of which the manifest tells later.

    Raises:
        NotAFlowError: something other than a flow was given.
        PicklingError, SecretError: the flow cannot be packaged.
    """
    secrets = tuple(secrets)
    if keyring is not None:
        from importlib import metadata  # noqa: PLC0415 - for what is sealed alone

        from prefect.sealing import pickle_to_seal  # noqa: PLC0415 - loads cryptography

        own = own if own is not None else _no_modules()
        to_seal = pickle_to_seal(flow, keyring, secrets, allowed, included, own)
        return PackagedFlow(
            to_seal.manifest,
            to_seal,
            {LABEL_SEALED: f"{FLOW_DIRECTORY}/{SEALED_FILE}"},
            (f"cryptography=={metadata.version('cryptography')}",),
            _own=own,
        )
    pickled = pickle_flow(flow, included, own)
    manifest = pickled.manifest
    parts = {
        SOURCES: manifest.source_text(),
        PAYLOAD: pickled.payload,
        MANIFEST: manifest.to_json(),
    }
    attached = included.files if included else ()
    searched: dict[str, bytes | InPieces] = {
        **parts,
        **{in_file(one.path): one for one in contents(attached)},
    }
    refuse_at_rest(forbidden((*secrets_of(manifest.flow), *secrets)), searched)
    refuse_tokens(searched, allowed, flow, manifest.files)
    warn_of_fixed(manifest)
    return PackagedFlow(
        manifest,
        pickled.payload,
        {
            LABEL_FLOW: manifest.flow["name"],
            LABEL_MANIFEST: f"{FLOW_DIRECTORY}/{MANIFEST_FILE}",
        },
        attached=attached,
    )


def imports(manifest: Manifest, *, sealed: bool) -> list[str]:
    """Return the modules that a flow in an image imports, but for those that are within what is sealed."""
    hidden = {requirement_name(name.partition("-")[0]) for name in manifest.wheels if sealed}
    return [
        module
        for module, line in manifest.requirements.items()
        if requirement_name(line) not in hidden
    ]

"""A flow as the files that an image holds of it: in the open, or sealed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from prefect.dependencies.requirements import requirement_name
from prefect.images import plan
from prefect.payload.attachments import contents
from prefect.payload.own_modules import with_wheels
from prefect.payload.packing import pickle_flow, warn_of_fixed
from prefect.running.flow_directory import FLOW_DIRECTORY, MANIFEST_FILE, PAYLOAD_FILE, SEALED_FILE
from prefect.secrets.search import MANIFEST, PAYLOAD, SOURCES, forbidden, in_file, refuse_at_rest
from prefect.secrets.secret import Secret, secrets_of
from prefect.secrets.tokens import refuse_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from prefect.core.flow import Flow
    from prefect.dependencies.wheels import Wheel
    from prefect.payload.attachments import Attachment
    from prefect.payload.including import Included
    from prefect.payload.manifest import Manifest
    from prefect.payload.own_modules import OwnModules
    from prefect.sealed.keys.keyring import Keyring
    from prefect.secrets.search import InPieces


@dataclass(frozen=True, slots=True)
class PackagedFlow:
    """A flow as the files that an image holds of it.

    Args:
        needs: what running it needs beside the flow's own requirements.
        attached: the files that travel beside it, in the open.
    """

    manifest: Manifest
    files: dict[str, bytes] = field(repr=False)
    labels: dict[str, str]
    needs: tuple[str, ...] = ()
    attached: tuple[Attachment, ...] = ()

    @property
    def sealed(self) -> bool:
        """Whether the flow, and the wheels that travel with it, are encrypted."""
        return MANIFEST_FILE not in self.files

    def imports(self) -> list[str]:
        """Return the modules that it imports, but for those that are within what is sealed."""
        hidden = {requirement_name(name.partition("-")[0]) for name in self.manifest.wheels}
        return [
            module
            for module, line in self.manifest.requirements.items()
            if not self.sealed or requirement_name(line) not in hidden
        ]

    def with_wheels(self, wheels: Sequence[Wheel]) -> PackagedFlow:
        """Return the same with a manifest that tells of wheels, if it is in the open."""
        if not wheels or self.sealed:
            return self
        manifest, _ = with_wheels(self.manifest, wheels)
        files = self.files | {MANIFEST_FILE: manifest.to_json()}
        return replace(self, manifest=manifest, files=files)


def package(
    flow: Flow,
    secrets: Iterable[Secret],
    keyring: Keyring | None,
    allowed: Collection[str] = (),
    included: Included | None = None,
    own: OwnModules | None = None,
    complete: Callable[[Manifest], Manifest] | None = None,
) -> PackagedFlow:
    """Package a flow: in the open, or sealed where there is a key for it.

    Args:
        flow: the flow.
        secrets: whose values may not occur in it, beside those that it names itself.
        keyring: seals it.
        allowed: names of what looks like a token and may be in it in the open.
        included: the files that travel with it.
        own: modules that travel in wheels. The manifest tells of these later, unless it is sealed.
        complete: adds to a manifest that is sealed what only follows once the flow is pickled.

    Raises:
        NotAFlowError: something other than a flow was given.
        PicklingError, SecretError: the flow cannot be packaged.
    """
    secrets = tuple(secrets)
    if keyring is not None:
        from importlib import metadata  # noqa: PLC0415 - for what is sealed alone

        from prefect.sealing import seal_flow  # noqa: PLC0415 - loads cryptography

        manifest, sealed = seal_flow(
            flow, keyring, secrets, allowed, included, own, complete=complete
        )
        return PackagedFlow(
            manifest,
            {SEALED_FILE: sealed},
            {plan.LABEL_SEALED: f"{FLOW_DIRECTORY}/{SEALED_FILE}"},
            (f"cryptography=={metadata.version('cryptography')}",),
        )
    pickled = pickle_flow(flow, included, own)
    manifest = pickled.manifest
    parts = {
        SOURCES: manifest.source_text(),
        MANIFEST: manifest.to_json(),
        PAYLOAD: pickled.payload,
    }
    attached = included.files if included else ()
    searched: dict[str, bytes | InPieces] = {
        **parts,
        **{in_file(one.path): one for one in contents(attached)},
    }
    refuse_at_rest(forbidden((*secrets_of(manifest.flow), *secrets)), searched)
    refuse_tokens(searched, allowed, flow)
    warn_of_fixed(manifest)
    return PackagedFlow(
        manifest,
        {
            MANIFEST_FILE: parts[MANIFEST],
            PAYLOAD_FILE: parts[PAYLOAD],
        },
        {
            plan.LABEL_FLOW: manifest.flow["name"],
            plan.LABEL_MANIFEST: f"{FLOW_DIRECTORY}/{MANIFEST_FILE}",
        },
        attached=attached,
    )

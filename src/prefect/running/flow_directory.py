"""A packaged flow as the files of a directory, as images have it: their names, and how it is read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prefect.errors import ArtifactError
from prefect.payload.manifest import Manifest
from prefect.secrets.secret import Secret, secrets_directory

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "/opt/prefect"  # where an image has all that is ours
FLOW_DIRECTORY = f"{PREFIX}/flow"
MANIFEST_FILE = "manifest.json"
PAYLOAD_FILE = "payload.pickle"
SEALED_FILE = "sealed.flow"
KEY_VARIABLE = "PREFECT_ENCRYPTION_KEY"  # the secret that opens a sealed flow


def read_flow(
    directory: Path, awaited: dict[str, str]
) -> tuple[Manifest, bytes | bytearray, tuple[str, ...]]:
    """Return manifest and payload, and the key that opened them if they were sealed."""
    sealed = directory / SEALED_FILE
    if sealed.exists():
        # The worker's own secret: tasks do not get it, and what they print has it masked.
        key = awaited.pop(KEY_VARIABLE, None)
        if key is None:
            key = Secret(KEY_VARIABLE).value
        else:  # it was handed over for this run alone: its file is ours, and not somebody's mount
            (secrets_directory() / KEY_VARIABLE).unlink(missing_ok=True)
        os.environ.pop(KEY_VARIABLE, None)
        # Where a flow is not sealed, there is no cryptography either.
        from prefect.sealed.keys.keyring import Keyring  # noqa: PLC0415
        from prefect.sealing import open_flow  # noqa: PLC0415

        return *open_flow(sealed, Keyring.of(key)), (key,)
    try:
        manifest = (directory / MANIFEST_FILE).read_bytes()
        return Manifest.from_json(manifest), (directory / PAYLOAD_FILE).read_bytes(), ()
    except OSError as error:
        raise ArtifactError(f"There is no flow to run: {error}") from error

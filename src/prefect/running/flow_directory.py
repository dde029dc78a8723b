"""A packaged flow as the files of a directory, as images have it: their names, and how it is read."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING

from prefect.errors import ArtifactError
from prefect.payload.manifest import Manifest
from prefect.running.key_variable import KEY_VARIABLE
from prefect.secrets.secret import Secret, secrets_directory

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.running.run_directory import RunDirectory

PREFIX = "/opt/prefect"  # where an image has all that is ours
FLOW_DIRECTORY = f"{PREFIX}/flow"
FILES = f"{FLOW_DIRECTORY}/files"  # those that travel with it, by their paths
MANIFEST_FILE = "manifest.json"
PAYLOAD_FILE = "payload.pickle"
SEALED_FILE = "sealed.flow"
RESULT_KEY = "PREFECT_RESULT_KEY"  # the one by which a run's result is known as its own


def take_value(name: str, awaited: dict[str, str]) -> str | None:
    """Take one of the worker's own secrets from those that were handed over: tasks do not get it."""
    value = awaited.pop(name, None)
    if value is not None:  # it came for this run alone: its file is ours, and not somebody's mount
        (secrets_directory() / name).unlink(missing_ok=True)
    return value


def take_key() -> list[str]:
    """Take the key that opens sealed flows out of the environment: no task has a use for it."""
    key = os.environ.pop(KEY_VARIABLE, "").strip()
    return [key] if key else []


def read_flow(
    directory: Path, awaited: dict[str, str], run: RunDirectory
) -> tuple[Manifest, bytes | bytearray, tuple[str, ...], Path | None]:
    """Return manifest and payload, the key that opened them, and where the files are that travelled.

    There is a key if they were sealed, and a directory if there are files.

    Args:
        run: gets the files, if they were sealed.
    """
    sealed = directory / SEALED_FILE
    if sealed.exists():
        # The worker's own secret: tasks do not get it, and what they print has it masked.
        key = take_value(KEY_VARIABLE, awaited)
        if key is None:
            key = Secret(KEY_VARIABLE).value
        os.environ.pop(KEY_VARIABLE, None)
        # Where a flow is not sealed, there is no cryptography either.
        from prefect.opening import open_flow  # noqa: PLC0415
        from prefect.sealed.keys.keyring import Keyring  # noqa: PLC0415

        keyring = Keyring.of(key)
        manifest, opened = open_flow(sealed, keyring, run.make, run.make_for_wheels)
        run.import_wheels()
        return manifest, opened, (key,), run.path
    try:
        manifest = Manifest.from_json((directory / MANIFEST_FILE).read_bytes())
        payload = (directory / PAYLOAD_FILE).read_bytes()
    except OSError as error:
        raise ArtifactError(f"There is no flow to run: {error}") from error
    files = directory.absolute() / posixpath.basename(FILES)
    return manifest, payload, (), files if manifest.files else None

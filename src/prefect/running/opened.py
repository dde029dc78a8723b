"""A sealed flow that this very process has opened and is about to run, as the command and a .pyz do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.running.flow_directory import take_key
from prefect.running.parameters import read_parameters
from prefect.running.verdict import require_fit
from prefect.secrets.masking import mask_until_exit
from prefect.secrets.secret import merge_secrets, resolve, secrets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.core.kept import Kept
    from prefect.payload.manifest import Manifest
    from prefect.running.run_directory import RunDirectory
    from prefect.sealed.keys.keyring import Keyring
    from prefect.secrets.secret import Secret


def ready_to_run(
    manifest: Manifest,
    keyring: Keyring,
    directory: RunDirectory,
    *,
    secrets: Iterable[Secret],
    given: Mapping[str, str],
    kept: Kept | None = None,
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the secrets' values and the parameters for a run in this process, which ends with it.

    From now on what it brought is importable, and its secrets and keys are masked in all that this
    process writes; the key is no variable any more.

    Args:
        keyring: what opened it.
        directory: has the wheels that travelled.
        secrets: that it needs beside those that it names itself.
        given: parameters as they were written.
        kept: what is to be kept of the run, and gone on with.

    Raises:
        CompatibilityError, SecretError: it cannot run here; all reasons are told at once.
        ParameterError: a parameter is missing, unknown or of another type.
    """
    directory.import_wheels()
    needed = merge_secrets(secrets, secrets_of(manifest.flow))
    require_fit(manifest, needed)
    parameters = read_parameters(manifest.flow, given, kept=kept)
    values = resolve(needed)
    keys = [key.encode() for key in keyring.encryption_keys]
    keys += [key.encode() for key in keyring.identities]
    mask_until_exit([*values.values(), *keys, *take_key()])
    return values, parameters

"""Running a packaged flow in this process: the same steps in every environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect.payload.loading import load_flow
from prefect.running.parameters import check_described
from prefect.secrets.secret import exported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prefect.core.state import State
    from prefect.payload.manifest import Manifest


def run_packaged(
    manifest: Manifest,
    payload: bytes | bytearray,
    secrets: Mapping[str, str],
    *,
    parameters: Mapping[str, Any] | None = None,
    executor: Any = None,
    on_state: Callable[[Any], None] | None = None,
) -> State:
    """Load an authenticated payload and run it with the secrets in its environment.

    Loading runs inside as well: a module's top level may read what a task needs.

    Raises:
        CompatibilityError, ArtifactError, NotAFlowError: the payload cannot be loaded here.
        ParameterError: a parameter is missing, unknown or of another type; nothing is loaded then.
    """
    check_described(manifest.flow, parameters or {})
    with exported(secrets):
        flow = load_flow(manifest, payload)
        return flow.run(parameters=parameters, executor=executor, on_state=on_state)

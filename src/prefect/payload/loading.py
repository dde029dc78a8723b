"""From a payload to its flow: the one module that unpickles."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from prefect.core.flow import Flow
from prefect.errors import ArtifactError, CompatibilityError, NotAFlowError

if TYPE_CHECKING:
    from prefect.payload.manifest import Manifest


def load_flow(manifest: Manifest, payload: bytes | bytearray) -> Flow:
    """Unpickle an authenticated payload. This runs code: call it last.

    Raises:
        CompatibilityError: this interpreter cannot load it; raised before anything is loaded.
        NotAFlowError: it holds something other than a flow.
        ArtifactError: it cannot be loaded, or is another flow than the manifest describes.
    """
    manifest.check_compatible()
    try:
        flow = pickle.loads(payload)  # noqa: S301 - authenticated by the caller
    except ModuleNotFoundError as error:
        raise CompatibilityError(
            f"This flow needs the module {error.name!r}, which is not installed here"
        ) from error
    except Exception as error:
        raise ArtifactError(
            f"The flow cannot be loaded here: {type(error).__name__}: {error}. Packages of other "
            f"versions than it was packaged with are the usual cause{_differences(manifest)}"
        ) from error
    if not isinstance(flow, Flow):
        raise NotAFlowError(f"The payload holds no Flow but an object of type {type(flow)!r}")
    if flow.serialize() != manifest.flow:
        raise ArtifactError("The payload holds another flow than the manifest describes")
    return flow


def _differences(manifest: Manifest) -> str:
    differing = [f"{line} (here {here})" for line, here in manifest.differing_requirements()]
    return f": {', '.join(differing)}" if differing else ""

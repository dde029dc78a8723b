"""From a payload to its flow: the one module that unpickles."""

from __future__ import annotations

import io
import pickle
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prefect.core.flow import Flow
from prefect.errors import ArtifactError, CompatibilityError, NotAFlowError
from prefect.payload.located import importable, unpacked_in
from prefect.payload.rebuilding import compiling
from prefect.payload.source_lines import remember_lines
from prefect.payload.sources import by_number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.payload.manifest import Manifest


def import_unpickler() -> None:
    """Import what payloads are unpickled with, before there is one."""
    __import__("cloudpickle")  # typed as it is used: by the payloads themselves


@contextmanager
def loaded(
    manifest: Manifest, payload: bytes | bytearray, directory: Path | None = None
) -> Iterator[Flow]:
    """Unpickle an authenticated payload for as long as its flow is used. This runs code: call it last.

    What it brought is found meanwhile: beside its modules' files, and by `importlib.resources`.

    Args:
        directory: absolute, where the files that travelled are; None where there are none.

    Raises:
        CompatibilityError: this interpreter cannot load it; raised before anything is loaded.
        NotAFlowError: it holds something other than a flow.
        ArtifactError: it cannot be loaded, or is another flow than the manifest describes.
    """
    with unpacked_in(directory) as unpacked:
        flow = load_flow(manifest, payload)
    with importable(unpacked, directory):
        yield flow


def load_flow(manifest: Manifest, payload: bytes | bytearray) -> Flow:
    """Unpickle an authenticated payload. This runs code: call it last.

    Raises:
        CompatibilityError: this interpreter cannot load it; raised before anything is loaded.
        NotAFlowError: it holds something other than a flow.
        ArtifactError: it cannot be loaded, or is another flow than the manifest describes.
    """
    manifest.check_compatible()
    lines = by_number(manifest.sources)
    remember_lines(lines)
    try:
        if manifest.is_of_this_series:
            flow = pickle.loads(payload)  # noqa: S301 - authenticated by the caller
        else:
            with compiling(lines):
                flow = _OfAnotherSeries(io.BytesIO(payload)).load()
    except CompatibilityError:
        raise
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


class _OfAnotherSeries(pickle.Unpickler):
    """Finds what another series of Python names otherwise."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except (ModuleNotFoundError, AttributeError):
            if (module, name) == ("dataclasses", "_replace"):
                return super().find_class("dataclasses", "replace")
            package, _, inner = module.rpartition(".")  # pathlib._local, since Python 3.13
            if inner.startswith("_") and package.partition(".")[0] in sys.stdlib_module_names:
                return super().find_class(package, name)
            raise


def _differences(manifest: Manifest) -> str:
    differing = [f"{line} (here {here})" for line, here in manifest.differing_requirements()]
    return f": {', '.join(differing)}" if differing else ""

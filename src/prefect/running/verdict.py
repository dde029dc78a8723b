"""Whether a packaged flow can run in this interpreter: every mismatch at once, each with its fix.

Nothing is executed, and nothing of the payload is loaded, to find out.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core.parameter_check import expected_by_description
from prefect.errors import CompatibilityError, ParameterError, SecretError
from prefect.payload.attachments import total
from prefect.payload.fitting import Finding, compared
from prefect.printable import size
from prefect.running.parameters import read_parameters
from prefect.secrets.secret import missing_value, without_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.payload.manifest import Manifest
    from prefect.secrets.secret import Secret

# A payload is in memory once as it was encrypted, and once as objects.
_TIMES_IN_MEMORY = 2


def verdict(
    manifest: Manifest,
    secrets: Iterable[Secret],
    *,
    payload_bytes: int = 0,
    elsewhere: Iterable[Finding] | None = None,
) -> list[Finding]:
    """Compare what a packaged flow needs with what is here.

    Args:
        secrets: that the run will need.
        payload_bytes: of the payload, as it is packaged.
        elsewhere: what was found of Python and packages that are not this interpreter's, if those are to
            run it.
    """
    return [
        *(compared(manifest) if elsewhere is None else elsewhere),
        *secrets_found(secrets),
        *_disk(manifest),
        *_memory(payload_bytes),
    ]


def secrets_found(secrets: Iterable[Secret]) -> list[Finding]:
    """Tell for each secret whether it has a value here; the value is not told."""
    listed = list(secrets)
    lacking = set(without_value(listed))
    return [
        Finding(f"secret {one.name}", False, *missing_value([one.name]))
        if one.name in lacking
        else Finding(f"secret {one.name}", True, f"The secret {one.name} has a value here")
        for one in listed
    ]


def parameters_found(flow: Mapping[str, Any], given: Mapping[str, str]) -> list[Finding]:
    """Tell whether parameters are those of a serialized flow; where none are given, which it needs.

    Args:
        given: as they were written.
    """
    if not given:
        needed = [one.name for one in expected_by_description(flow) if one.required]
        if not needed:
            return []
        told = f"It needs {', '.join(needed)}, and none is given here"
        return [
            Finding("parameters", None, told, "Give them with -p NAME=VALUE, and they are checked")
        ]
    try:
        read_parameters(flow, given)
    except ParameterError as error:
        return [Finding("parameters", False, str(error))]
    return [Finding("parameters", True, f"The flow takes what is given for {', '.join(given)}")]


def require_fit(manifest: Manifest, secrets: Iterable[Secret]) -> None:
    """Refuse a run that cannot be, with all that stands in its way.

    Raises:
        SecretError: secrets have no value here, and nothing else is wrong.
        CompatibilityError: anything else is.
    """
    found = [*compared(manifest, notes=False), *secrets_found(secrets), *_disk(manifest)]
    problems = [one for one in found if one.fits is False]
    if not problems:
        return
    text = "\n".join(map(str, problems))
    if all(one.about.startswith("secret ") for one in problems):
        raise SecretError(text)
    raise CompatibilityError(text)


def _disk(manifest: Manifest) -> list[Finding]:
    needed = total(manifest.files) + total(manifest.wheels)
    if not needed:
        return []
    import tempfile  # noqa: PLC0415 - slow to import, and for files alone

    place = tempfile.gettempdir()
    free = shutil.disk_usage(place).free
    told = f"Its files take {size(needed)} in {place}, where {size(free)} are free"
    if free < needed:
        return [Finding("disk", False, told, "Make room, or name another directory in TMPDIR")]
    return [Finding("disk", True, told)]


def _memory(payload_bytes: int) -> list[Finding]:
    available = _available_memory()
    needed = payload_bytes * _TIMES_IN_MEMORY
    if available is None or needed <= available:
        return []
    return [
        Finding(
            "memory", False,
            f"Loading the flow takes some {size(needed)} of memory, and {size(available)} are there",
            "Run it where there is more, or let tasks load such data when they run",
        )
    ]  # fmt: skip


def _available_memory() -> int | None:
    """Return how many bytes of memory a process can have here; None where nobody says."""
    found = []
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(x for x in lines if x.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ValueError):  # of this container, where there is one
        limit, used = (
            int(Path("/sys/fs/cgroup", f"memory.{x}").read_text()) for x in ("max", "current")
        )
        found.append(limit - used)
    return min(found) if found else None

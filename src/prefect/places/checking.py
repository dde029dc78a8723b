"""Whether a place can be made ready here for an artifact: told with each fix, and nothing is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.errors import PrefectError
from prefect.oci.cache.of_user import open_cache
from prefect.oci.platforms import Platform
from prefect.payload.fitting import Finding

if TYPE_CHECKING:
    from prefect.payload.manifest import Manifest


def check_venv(manifest: Manifest) -> list[Finding]:
    """Compare a sealed flow with what an environment for it can be made of here."""
    from prefect.places.venv.contents import contents, series_of  # noqa: PLC0415 - for these alone
    from prefect.places.venv.interpreters import find_python  # noqa: PLC0415 - the same

    try:
        wanted = series_of(manifest)
        with open_cache() as store:
            pythons = {series: find_python(series, store) for series in wanted}
        found = next((series for series, python in pythons.items() if python), None)
        if found is None:
            return [
                Finding(
                    "Python", False,
                    f"This flow needs Python {' or '.join(wanted)}, which is not installed here",
                    f"Install it, for example by `uv python install {wanted[0]}`, or build the flow with "
                    "--python for one that is here",
                )
            ]  # fmt: skip
        held = contents(manifest, found)
    except PrefectError as error:
        told, _, fix = str(error).partition(". ")
        return [Finding("lock", False, told, fix)]
    python = Finding("Python", True, f"Python {found} is here: {pythons[found]}")
    told = (
        f"{len(held.brought)} packages travel with it, and {len(held.indexed)} come from an index"
    )
    if not (held.brought or held.indexed):
        return [python, Finding("requirements", True, "It needs no packages of indexes")]
    if not manifest.lock:
        return [
            python,
            Finding(
                "lock", None, f"Nothing is locked by hash: {told}",
                "Build it where an index can be reached, and it has a lock",
            ),
        ]  # fmt: skip
    return [python, Finding("requirements", True, f"Locked by hash: {told}")]


def check_sandbox(*, images: bool = True) -> list[Finding]:
    """Tell whether sandboxes can be made here, of images or of sealed flows."""
    from prefect.places.sandbox.host import INSTALL, find_host  # noqa: PLC0415 - for these alone

    try:
        with open_cache() as store:
            host = find_host(store)
    except PrefectError as error:
        told, _, fix = str(error).partition(": ")
        return [Finding("sandbox", False, told, fix)]
    if not images:
        if host.bwrap is None:
            told = "A sealed flow's sandbox is made by bubblewrap alone"
            return [Finding("sandbox", False, told, f"{INSTALL[0].upper()}{INSTALL[1:]}")]
        return [Finding("sandbox", True, "Sandboxes are made by bubblewrap here")]
    how = "runc" if host.bwrap is None else "bubblewrap"
    layers = "overlays" if host.overlay else "hard links"
    return [Finding("sandbox", True, f"Sandboxes are made by {how} here, with {layers}")]


def check_platform(manifest: Manifest) -> list[Finding]:
    """Compare the platform of an image with this machine."""
    if manifest.image is None:
        return []
    here, own = Platform.of_host(), manifest.image.platform
    if Platform.parse(own).preference(here) is not None:
        return [Finding("platform", True, f"The image is for {own}, and here is {here}")]
    return [
        Finding(
            "platform", False, f"The image is for {own}, and here is {here}",
            f"Build it with --platform {here}, or run it where it fits",
        )
    ]  # fmt: skip

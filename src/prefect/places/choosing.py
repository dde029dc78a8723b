"""The place that suits a sealed flow, where nobody names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.installed import distributions, normal_name
from prefect.payload.fitting import compared

if TYPE_CHECKING:
    from prefect.payload.manifest import Manifest


def suits(manifest: Manifest, *, strict: bool = False) -> tuple[str, str]:
    """Return the place where a sealed flow is best run on this machine, "here" or "venv", and why.

    That is here, unless something that it needs is not installed here, or is another Python, and an
    environment can be made of what it has locked.

    Args:
        manifest: of the flow, authenticated.
        strict: whether other versions than it was packaged with do not do.

    Returns:
        The place, and the reason as a sentence without its full stop; "" for here.
    """
    if not manifest.lock:
        return "here", ""
    for finding in compared(manifest, notes=False):
        if finding.fits is False:
            return "venv", finding.told
    differing = manifest.differing_requirements() if strict else []
    if differing:
        line, here = differing[0]
        return "venv", f"It was packaged with {line}, and here is {here}"
    if manifest.wheels and (lacking := _vendored_and_absent(manifest)):
        return "venv", f"What it brings is not installed here: {', '.join(lacking)}"
    return "here", ""


def _vendored_and_absent(manifest: Manifest) -> list[str]:
    """Name packages of indexes that travel as wheels and are not here: unpacked anew for each run here."""
    from prefect.places.venv.contents import contents, series_of  # noqa: PLC0415 - for these alone

    brought = contents(manifest, series_of(manifest)[0]).brought
    names = {normal_name(line.partition("==")[0]) for line in brought}
    return sorted(names - {name for name, _ in distributions()})

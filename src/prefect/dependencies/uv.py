"""uv, which resolves and installs: where it is, and what it is told."""

from __future__ import annotations

import os
from pathlib import Path

from prefect.errors import RequirementsError

# The newest glibc for which uv knows a platform of its own; wheels for older ones fit as well.
_NEWEST_GLIBC = 40
_OLDEST_GLIBC = 31


def uv_program() -> str:
    """Return the path of uv.

    Raises:
        RequirementsError: it is not installed.
    """
    try:
        from uv import find_uv_bin  # noqa: PLC0415 - images do without
    except ImportError as error:
        raise RequirementsError(
            "uv resolves the dependencies and is not installed: pip install uv"
        ) from error
    return str(find_uv_bin())


def uv_environment() -> dict[str, str]:
    """Return the environment variables for uv: this process's, without what is not uv's business."""
    # uv may run build scripts of what it resolves, which our keys are none of the business of.
    own = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    # uv fails where its cache cannot be, which to a build is a matter of speed.
    if "UV_CACHE_DIR" not in own and not _has_cache():
        own["UV_NO_CACHE"] = "1"
    # A project's own uv settings are about that project, not about this image.
    return own | {"UV_NO_CONFIG": "1", "NO_COLOR": "1"}


def _has_cache() -> bool:
    try:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is no home
        return False
    while not place.exists():
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def platform_name(machine: str, glibc: tuple[int, int] | None) -> str:
    """Return uv's name for a Linux of this machine type and C library (None means musl)."""
    if glibc is None:
        return f"{machine}-unknown-linux-musl"
    major, minor = glibc
    if major != 2 or minor < _OLDEST_GLIBC:  # noqa: PLR2004 - glibc has been 2.x since 1997
        return f"{machine}-manylinux_2_{28 if minor >= 28 else 17}"  # noqa: PLR2004
    return f"{machine}-manylinux_2_{min(minor, _NEWEST_GLIBC)}"

"""Whether a wheel fits a Python and a platform: its tags, and the C library that it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.dependencies.targets import c_library_told, uv_platform, wheel_tags
from prefect.errors import RequirementsError
from prefect.patterns import pattern

if TYPE_CHECKING:
    from prefect.dependencies.wheels import Wheel
    from prefect.pylock import Target

_PYTHON = pattern(r"(cp|py)(\d)(\d*)")
_MANYLINUX = pattern(r"manylinux_2_(\d+)_(\w+)")
_OLD_MANYLINUX = {"manylinux1_": 5, "manylinux2010_": 12, "manylinux2014_": 17}
_GLIBC_SYMBOL = pattern(rb"GLIBC_2\.(\d+)")


def require_fit(wheel: Wheel, python: str, platform: str, *, target: str = "") -> None:
    """Refuse a wheel that is not for a Python and a platform.

    Args:
        python: its series, such as "3.11".
        platform: uv's name of the platform, from `platform_name`.
        target: how people know both where a sealed flow is locked for them; "" for an image.

    Raises:
        RequirementsError: says for which it is, and what to do.
    """
    if wheel.pure and any(_fits_python(tag, python) for tag in wheel.tags):
        return
    reason = "" if wheel.pure else _misfit(wheel, python, platform)
    if reason is None:
        return
    if any(_fits_python(tag, python) and platform.partition("-")[0] in tag for tag in wheel.tags):
        reason += f".{c_library_told(platform, python, target=target)}".removesuffix(".")
    raise _misfitting(wheel, f"Python {python} on {platform}", reason)


def _misfitting(wheel: Wheel, where: str, reason: str) -> RequirementsError:
    told = ", ".join(sorted(wheel.tags))
    return RequirementsError(
        f"The wheel of {wheel} from {wheel.origin} is for {told}, and what it is to run on has "
        f"{where}{reason}. Choose what it fits, with --image, --platform, --for or --python; or build "
        f"its wheel there, such as in a container, and name it: -r PATH/{wheel.name}-….whl"
    )


def require_fit_target(wheel: Wheel, target: Target) -> None:
    """Refuse a wheel that is not for a Python and a platform that a sealed flow is locked for.

    Raises:
        RequirementsError: says for which it is, and what to do.
    """
    if target.system == "linux" or wheel.pure:
        require_fit(wheel, target.python, uv_platform(target), target=str(target))
    elif wheel.tags.isdisjoint(map(str, wheel_tags(target))):
        raise _misfitting(wheel, str(target), "")


def _misfit(wheel: Wheel, python: str, platform: str) -> str | None:
    """Return what more there is to say of a wheel that does not fit; None for one that does."""
    fitting = [tag for tag in wheel.tags if _fits_python(tag, python)]
    machine, _, libc = platform.partition("-")
    newest = int(libc.rpartition("_")[2]) if libc.startswith("manylinux_2_") else None
    for tag in fitting:
        kind = tag.split("-", 2)[2]
        if kind == "any" or (
            kind.startswith("musllinux_") and kind.endswith(f"_{machine}") and newest is None
        ):
            return None
        if kind == f"linux_{machine}":
            needed = _glibc_of(wheel)
            if needed is None or (newest is not None and needed <= newest):
                return None
            return f"; its machine code needs glibc 2.{needed}"
        if (
            newest is not None
            and (needed := _manylinux(kind, machine)) is not None
            and needed <= newest
        ):
            return None
    return ""


def _fits_python(tag: str, python: str) -> bool:
    interpreters, abi, _ = tag.split("-", 2)
    major, minor = (int(part) for part in python.split("."))
    for interpreter in interpreters.split("."):
        match = _PYTHON.fullmatch(interpreter)
        if match is None or int(match[2]) != major:
            continue
        oldest = int(match[3] or 0)
        if match[1] == "py" or "abi3" in abi.split("."):
            if oldest <= minor:
                return True
        elif oldest == minor:
            return True
    return False


def _manylinux(kind: str, machine: str) -> int | None:
    if match := _MANYLINUX.fullmatch(kind):
        return int(match[1]) if match[2] == machine else None
    for start, glibc in _OLD_MANYLINUX.items():
        if kind == f"{start}{machine}":
            return glibc
    return None


def _glibc_of(wheel: Wheel) -> int | None:
    """Return the glibc 2.x that a wheel's machine code needs; None if it needs none."""
    import zipfile  # noqa: PLC0415 - what is remembered of wheels needs it not

    needed: list[int] = []
    with zipfile.ZipFile(wheel.path) as archive:
        for name in archive.namelist():
            if name.endswith(".so") or ".so." in name:
                needed += map(int, _GLIBC_SYMBOL.findall(archive.read(name)))
    return max(needed, default=None)

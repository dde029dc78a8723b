"""The Pythons and platforms that requirements are locked for: as people, uv and markers know them."""

from __future__ import annotations

import os
import platform as host
import re
import sys
from typing import TYPE_CHECKING

from prefect.dependencies.uv import platform_name
from prefect.errors import RequirementsError
from prefect.patterns import pattern
from prefect.pylock import USUAL_GLIBC, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.tags import Tag

_USUAL_MACOS = (13, 0)  # as uv has it
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "x86-64": "x86_64"}
_SYSTEMS = {"linux": "linux", "macos": "darwin"}
_KNOWN = {
    "linux": ("x86_64", "aarch64", "riscv64"),
    "darwin": ("arm64", "x86_64"),
}
_OLDEST = (3, 11)
_SERIES = pattern(r"3\.(\d{1,2})")


def targets(platforms: Sequence[str] = (), pythons: Iterable[str] = ()) -> list[Target]:
    """Return what is asked for, each platform with each Python; by default what is here.

    Args:
        platforms: such as "linux/amd64", "linux/arm64" or "macos/arm64".
        pythons: series, such as "3.11".

    Raises:
        ValueError: one is unknown, or named twice.
    """
    here = this_target()
    series = [parse_python(text) for text in pythons] or [here.python]
    places = [parse_platform(text) for text in platforms] or [(here.system, here.machine)]
    for asked in (series, places):
        if len(set(asked)) < len(asked):
            raise ValueError("A platform or a Python is named twice")
    # What is asked for by name may be any machine of its kind; unasked, it is this one.
    glibc = USUAL_GLIBC if platforms else here.glibc
    found = [Target(python, *place, glibc) for python in series for place in places]
    # First that which is nearest: where there is a choice, the others follow it.
    return sorted(found, key=lambda target: (target != here, target))


def this_target() -> Target:
    """Return the Python and platform that run this."""
    series = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return Target(series, sys.platform, host.machine(), _glibc_here())


def parse_python(text: str) -> str:
    """Return a series of Python, such as "3.11".

    Raises:
        ValueError: it is none.
    """
    match = _SERIES.fullmatch(text)
    if match is None or int(match[1]) < _OLDEST[1]:
        raise ValueError(f"{text!r} is no series of Python from 3.11 on: write one such as 3.12")
    return text


def parse_platform(text: str) -> tuple[str, str]:
    """Return what Python calls the system and the machine of a platform such as "linux/amd64".

    Raises:
        ValueError: it is unknown.
    """
    system, _, machine = text.lower().partition("/")
    system = _SYSTEMS.get(system, "")
    machine = _MACHINES.get(machine, machine)
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    if machine not in _KNOWN.get(system, ()):
        raise ValueError(
            f"{text!r} is no platform that packages are locked for: write linux/amd64, linux/arm64, "
            "linux/riscv64, macos/arm64 or macos/amd64"
        )
    return system, machine


def uv_platform(target: Target) -> str:
    """Return uv's name of a target's platform."""
    if target.system == "darwin":
        machine = "aarch64" if target.machine == "arm64" else target.machine
        return f"{machine}-apple-darwin"
    return platform_name(target.machine, target.glibc)


def environment(target: Target) -> dict[str, str]:
    """Return the variables of PEP 508's markers for a target, of which no more is known."""
    python, system = target.python, target.system
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": target.machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": {"darwin": "Darwin"}.get(system, "Linux"),
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": system,
        "extra": "",
    }


def wheel_tags(target: Target) -> list[Tag]:
    """Return the tags of the wheels that fit a target, the best first."""
    from packaging import tags  # noqa: PLC0415 - for locks of other tools alone

    version = tuple(int(part) for part in target.python.split("."))
    places = _platform_tags(target)
    return [
        *tags.cpython_tags(version, platforms=places),
        *tags.compatible_tags(version, f"cp{version[0]}{version[1]}", places),
    ]


def _platform_tags(target: Target) -> Sequence[str]:
    from packaging import tags  # noqa: PLC0415 - as above

    if target.system == "darwin":
        return list(tags.mac_platforms(_USUAL_MACOS, target.machine))
    machine, glibc = target.machine, target.glibc
    if glibc is None:
        return [*(f"musllinux_1_{minor}_{machine}" for minor in (2, 1, 0)), f"linux_{machine}"]
    found = []
    for minor in range(glibc[1], 4, -1):
        found.append(f"manylinux_2_{minor}_{machine}")
        if name := {17: "2014", 12: "2010", 5: "1"}.get(minor):
            found.append(f"manylinux{name}_{machine}")
    return [*found, f"linux_{machine}"]


def c_library_told(platform: str, python: str, *, target: str = "") -> str:
    """Return, as a sentence with a space before it, what a C library has to do with missing wheels.

    Args:
        platform: uv's name of it.
        python: a series, such as "3.11".
        target: how people know the Python and platform that a sealed flow is locked for; "" for an
            image, whose base can be another one.

    Returns:
        "" for a platform whose wheels are for no C library.
    """
    musl = platform.endswith("-musl")
    glibc = re.search(r"manylinux_2_(\d+)$", platform)
    if not musl and glibc is None:
        return ""
    if target:
        if musl:
            return f" {target} has musl, as Alpine does: wheels for glibc alone (manylinux) do not run on it."
        return (
            f" {target} stands for glibc 2.{glibc and glibc[1]}: wheels for a newer one, or for musl alone "
            "(musllinux), do not count. Where a newer one is there, build on such a machine without --for "
            "(platforms=)."
        )
    if musl:
        return (
            " The base has musl, as Alpine does, and wheels for glibc alone (manylinux) do not run on it: "
            f"choose a base with glibc, such as python:{python}-slim."
        )
    return (
        f" The base has glibc 2.{glibc and glibc[1]}, and wheels for a newer one, or for musl alone "
        f"(musllinux), do not run on it: choose a newer base, such as python:{python}-slim."
    )


def _glibc_here() -> tuple[int, int] | None:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, OSError, ValueError):
        text = ""
    match = re.fullmatch(r"glibc (\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def target_of(python: str, platform: str) -> Target:
    """Return the target that uv's name of a Linux means.

    Args:
        python: a series, such as "3.11".
        platform: of `prefect.dependencies.uv.platform_name`.

    Raises:
        RequirementsError: it is none.
    """
    machine, dash, _ = platform.partition("-")
    if not dash:
        raise RequirementsError(f"{platform!r} is no platform that uv knows")
    return Target(python, "linux", machine)

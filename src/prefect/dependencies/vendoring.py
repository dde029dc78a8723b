"""What is locked as wheels that travel with a flow, for where there is no index.

uv installs, each file checked by its hash, for each Python and platform that is locked for; what it
installed is put together again. So it asks the indexes with all that it knows of them, and nothing here does.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from prefect.dependencies.installing import run_uv
from prefect.dependencies.lock import Distribution
from prefect.dependencies.reassembling import reassemble_at
from prefect.dependencies.targets import uv_platform
from prefect.frozen import replace
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from prefect.dependencies.wheels import Wheel
    from prefect.pylock import Lock, Package

_SITES = {"site-packages", "dist-packages"}
_GLIBC = pattern(r"manylinux(?:_2_)?(\d+)_")
_LEGACY = {"2014": "17", "2010": "12", "1": "5"}
# As uv has platforms: for 2.17, for 2.28, and for each from 2.31 on.
_PLATFORMS = (17, 28, 31)


def vendor(
    lock: Lock, own: Collection[str], directory: Path, progress: Callable[[str], None] | None = None
) -> list[Wheel]:
    """Return the wheels of what is locked, each once, for all targets of the lock.

    Args:
        lock: the lock.
        own: normalised names of what travels in wheels of its own.
        directory: where they are put; is there, and empty.
        progress: gets a line now and then.

    Raises:
        RequirementsError: something has no wheel for one of the targets, or cannot be had.
        DiskFullError, SettingError: uv's cache has no space, or cannot be used.
        OSError: the directory has no space.
    """
    made: dict[str, Wheel] = {}
    wheels = directory / "wheels"
    wheels.mkdir()
    for number, target in enumerate(lock.targets):
        packages = [one for one in lock.for_target(target) if one.name not in own]
        if not packages:
            continue
        if progress is not None:
            progress(f"Taking along {len(packages)} wheels for {target}")
        stage = directory / f"stage-{number}"
        stage.mkdir()
        run_uv(
            [Distribution(one.name, one.version, f"{one.line()}\n") for one in packages],
            stage,
            os.path.abspath(sys.executable),  # noqa: PTH100 - and no links resolved
            target.python,
            uv_platform(replace(target, glibc=_c_library(packages, target.machine))),
            progress,
            None,
            build=False,
        )
        for info in sorted(stage.rglob("*.dist-info")):
            if info.parent.name in _SITES:  # else it is within another distribution
                wheel = reassemble_at(info, stage, wheels, origin="the index")
                made[wheel.path.name] = wheel
    return [made[name] for name in sorted(made)]


def _c_library(packages: Collection[Package], machine: str) -> tuple[int, int] | None:
    """Return the oldest glibc that all of some locked wheels run with; None for musl.

    A lock does not tell of the C library that it was made for, but by the names of its files. With a
    newer one, uv would take other files of the same versions, whose hashes are not locked.
    """
    names = [file.name for one in packages for file in one.files]
    if any("musllinux" in name for name in names):
        return None
    needed = [
        min(int(_LEGACY.get(minor, minor)) for minor in found)
        for name in names
        if name.endswith(f"_{machine}.whl") and (found := _GLIBC.findall(name))
    ]
    minor = max(needed, default=0)
    return 2, next((one for one in _PLATFORMS if one >= minor), minor)

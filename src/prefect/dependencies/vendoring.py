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

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from prefect.dependencies.wheels import Wheel
    from prefect.pylock import Lock

_SITES = {"site-packages", "dist-packages"}


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
            uv_platform(target),
            progress,
            None,
            build=False,
        )
        for info in sorted(stage.rglob("*.dist-info")):
            if info.parent.name in _SITES:  # else it is within another distribution
                wheel = reassemble_at(info, stage, wheels, origin="the index")
                made[wheel.path.name] = wheel
    return [made[name] for name in sorted(made)]

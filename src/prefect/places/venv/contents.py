"""What an environment for a flow has to hold, and for which Python: by its manifest, and nothing else."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.installed import normal_name
from prefect.places.venv.interpreters import HERE
from prefect.pylock import Target, read, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.payload.manifest import Manifest
    from prefect.pylock import Lock, Package


@dataclass(frozen=True, slots=True)
class Contents:
    """What is installed, each as a requirement line with hashes, sorted.

    Args:
        python: series of the Python.
        indexed: what indexes have.
        brought: what is among the wheels that travel, of what indexes have.
        own: names of the files of wheels that are the user's own. They are no part of the environment:
            what was encrypted is not kept in the clear.
        sources: normalised names of what may be built from its source.
    """

    python: str
    indexed: tuple[str, ...] = ()
    brought: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()


def series_of(manifest: Manifest) -> list[str]:
    """Return the series of Python that can run a flow here, the best first.

    That is this one, then that which packaged the flow, then the newest; of those that are locked.

    Raises:
        PlaceError: nothing is locked for here, or not for the only Python that can run it.
    """
    packaged = manifest.python_minor
    if manifest.implementation != "cpython":
        raise PlaceError(
            f"This flow was packaged by {manifest.implementation} {manifest.python}, and only that can "
            "run it: environments are made of CPython alone. Package it with CPython"
        )
    if not manifest.lock:
        return [packaged] if manifest.is_fixed or packaged == HERE else [HERE, packaged]
    targets = read(manifest.lock).targets
    here = _target("")
    locked = {
        one.python for one in targets if (one.system, one.machine) == (here.system, here.machine)
    }
    if not locked:
        raise PlaceError(
            f"The requirements are locked for {shown(targets)}, and nothing for {here.platform}, which is "
            f"here. Build it with --for {here.platform} (platforms=)"
        )
    if manifest.is_fixed and packaged not in locked:
        raise PlaceError(
            f"Only Python {packaged} can run this flow ({manifest.why_fixed}), and the requirements are "
            f"locked for {shown(targets)}. Build it with --python {packaged} (pythons=)"
        )
    if manifest.is_fixed:
        return [packaged]
    newest = sorted(locked, key=lambda series: int(series.partition(".")[2]), reverse=True)
    first = [series for series in (HERE, packaged) if series in locked]
    return list(dict.fromkeys([*first, *newest]))


def contents(manifest: Manifest, series: str) -> Contents:
    """Return what an environment of a series of Python holds.

    Args:
        series: one of `series_of`.
    """
    if not manifest.lock:
        return Contents(series, own=frozenset(manifest.wheels))
    lock = read(manifest.lock)
    packages = lock.for_target(_target(series))
    hashes = {entry["sha256"] for entry in manifest.wheels.values()}
    # A wheel of one's own stands in the lock with the hash that it has; what was taken along of an
    # index was put together again, and has another.
    own = {one.name for one in lock.packages if any(f.sha256 in hashes for f in one.files)}
    brought = _brought(manifest)
    indexed = [one for one in packages if one.name not in own and one.name not in brought]
    return Contents(
        series,
        tuple(one.line() for one in indexed),
        tuple(_line(one, brought[one.name]) for one in packages if one.name in brought.keys() - own),
        frozenset(name for name in manifest.wheels if _distribution(name) in own),
        frozenset(one.name for one in indexed if not all(file.is_wheel for file in one.files)),
    )


def _brought(manifest: Manifest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, entry in manifest.wheels.items():
        found.setdefault(_distribution(name), []).append(entry["sha256"])
    return found


def _distribution(wheel: str) -> str:
    return normal_name(wheel.partition("-")[0])


def _line(package: Package, hashes: Iterable[str]) -> str:
    return f"{package.name}=={package.version}{''.join(f' --hash=sha256:{h}' for h in sorted(hashes))}"


def _target(series: str) -> Target:
    return Target(series, sys.platform, platform.machine())

"""What an environment for a flow has to hold, and for which Python: by its manifest, and nothing else."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from prefect.frozen import frozen, replace
from prefect.errors import ArtifactError, PlaceError
from prefect.installed import normal_name
from prefect.places.venv.interpreters import HERE
from prefect.pylock import Target, read, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prefect.payload.manifest import Manifest
    from prefect.pylock import Lock, Package


@frozen
class Contents:
    """What is installed, each as a requirement line with hashes, sorted.

    Args:
        python: series of the Python.
        indexed: what indexes have.
        brought: what is among the wheels that travel, of what indexes have.
        own: names of the files of wheels that are the user's own, and fit. They are no part of the
            environment: what was encrypted is not kept in the clear.
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

    Raises:
        PlaceError: what travels of the user's own is not for here.
        ArtifactError: it is no wheel.
    """
    if not manifest.lock:
        return Contents(series, own=_fitting(manifest.wheels, series))
    lock = read(manifest.lock)
    packages = lock.for_target(_target(series))
    own = _own(manifest, lock)
    brought = _brought(manifest)
    indexed = [one for one in packages if one.name not in own and one.name not in brought]
    return Contents(
        series,
        tuple(one.line() for one in indexed),
        tuple(_line(one, brought[one.name]) for one in packages if one.name in brought.keys() - own),
        _fitting((name for name in manifest.wheels if _distribution(name) in own), series),
        frozenset(one.name for one in indexed if not all(file.is_wheel for file in one.files)),
    )


def _own(manifest: Manifest, lock: Lock) -> frozenset[str]:
    if not manifest.wheels:
        return frozenset()
    from prefect.running.own_wheels import own_distributions  # noqa: PLC0415 - few bring wheels

    return own_distributions(manifest, lock)


def lines_of(contents: Contents) -> Iterator[str]:
    """Yield all that an environment depends on, beside its Python."""
    yield from contents.indexed
    yield from contents.brought
    yield from sorted(contents.sources)


def is_unlocked(manifest: Manifest) -> bool:
    """Tell whether a flow needs packages that travel neither as wheels nor in a lock."""
    brought = {_distribution(name) for name in manifest.wheels}
    needed = {normal_name(line.partition("==")[0]) for line in manifest.requirements.values()}
    return not manifest.lock and not needed <= brought


def _brought(manifest: Manifest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, entry in manifest.wheels.items():
        found.setdefault(_distribution(name), []).append(entry["sha256"])
    return found


def _fitting(names: Iterable[str], series: str) -> frozenset[str]:
    """Return, of each distribution's wheels, the one that fits best."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_distribution(name), []).append(name)
    return frozenset(_best(group, series) for group in groups.values())


def _best(names: list[str], series: str) -> str:
    if len(names) == 1 and names[0].endswith("-none-any.whl"):
        return names[0]
    # For machine code alone.
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415

    from prefect.dependencies.targets import this_target, wheel_tags  # noqa: PLC0415

    target = replace(this_target(), python=series)
    ranks = {tag: rank for rank, tag in enumerate(wheel_tags(target))}
    try:
        tags = {name: parse_wheel_filename(name)[3] for name in names}
    except InvalidWheelFilename as error:
        raise ArtifactError(f"This flow brings what is no wheel: {error}") from error
    found = [
        (min(fitting), name)
        for name in names
        if (fitting := [ranks[tag] for tag in tags[name] if tag in ranks])
    ]
    if not found:
        raise PlaceError(
            f"This flow brings {', '.join(sorted(names))}, whose machine code is not for {target}. Build it "
            "for this place: --for and --python, or -r PATH/NAME.whl"
        )
    return min(found)[1]


def _distribution(wheel: str) -> str:
    return normal_name(wheel.partition("-")[0])


def _line(package: Package, hashes: Iterable[str]) -> str:
    return f"{package.name}=={package.version}{''.join(f' --hash=sha256:{h}' for h in sorted(hashes))}"


def _target(series: str) -> Target:
    return Target(series, sys.platform, platform.machine())

"""What a flow's requirements need in turn, as it is installed here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prefect.installed import normal_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib import metadata


def installed_closure(requirements: Iterable[str]) -> dict[str, str]:
    """Return the distributions that requirements need here, these among them, with their versions.

    Args:
        requirements: lines "name==version" of what is installed.

    Returns:
        Versions by normalised names, sorted. What is needed and not installed is left out.
    """
    todo = [(line.partition("==")[0], frozenset[str]()) for line in requirements]
    if not todo:
        return {}
    from importlib import metadata  # noqa: PLC0415 - slow to import, and many flows need none

    found: dict[str, str] = {}
    seen = set()
    while todo:
        name, extras = todo.pop()
        if (normal_name(name), extras) in seen:
            continue
        seen.add((normal_name(name), extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        header = _header(distribution)
        found[normal_name(name)] = header.get("Version", [""])[0] or distribution.version
        todo += _needs(header.get("Requires-Dist", []), extras)
    return dict(sorted(found.items()))


def _needs(lines: Iterable[str], extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    # A line costs a tenth of a millisecond, and pandas has a hundred of them for its extras.
    wanted = [line for line in lines if extras or not re.search(r"\bextra *==", line)]
    if not wanted:
        return []
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - as above

    needs = []
    for line in wanted:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of a distribution that is older than the rules
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": one}) for one in extras or {""}):
            needs.append((requirement.name, frozenset(requirement.extras)))
    return needs


def _header(distribution: metadata.Distribution) -> dict[str, list[str]]:
    # A parser of mail takes several times as long, and of what is folded nothing is wanted.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    found: dict[str, list[str]] = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, colon, value = line.partition(": ")
        if colon and not line[0].isspace():
            found.setdefault(name, []).append(value.strip())
    return found

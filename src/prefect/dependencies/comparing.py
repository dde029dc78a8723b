"""A lock compared with what is asked for, for a Python and platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.dependencies.requirements import parse_requirement, requirement_name, split_hashes
from prefect.dependencies.targets import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.dependencies.lock import Entry
    from prefect.dependencies.wheels import Wheel
    from prefect.pylock import Target


def entries_for(entries: Iterable[Entry], target: Target) -> dict[str, Entry]:
    """Return the lines of a lock that are for a Python and platform, by name.

    Raises:
        RequirementsError: a marker is none.
    """
    variables = environment(target)
    found: dict[str, Entry] = {}
    for entry in entries:
        if not entry.marker or _holds(f"{entry.name} ; {entry.marker}", variables):
            found[entry.name] = entry
    return found


def unmet(lines: Iterable[str], locked: Mapping[str, Entry], target: Target) -> list[str]:
    """Return what a lock does not meet of the requirement lines, as one text for each.

    Names, versions, extras and hashes are compared, of those lines whose markers hold.

    Args:
        locked: from `entries_for`.

    Raises:
        RequirementsError: a line is no requirement.
    """
    variables = environment(target)
    return [
        problem
        for line in sorted(set(lines))
        if _holds(line, variables) and (problem := _unmet(line, locked))
    ]


def entry_of(wheel: Wheel) -> Entry:
    """Return a wheel as a line of a lock, with all extras that it has."""
    from prefect.dependencies.lock import Entry  # noqa: PLC0415 - for wheels of one's own

    return Entry(wheel.name, wheel.extras, wheel.version, "", (f"sha256:{wheel.sha256}",))


def needs_of(wheels: Iterable[Wheel], lines: Iterable[str], target: Target) -> list[str]:
    """Return what wheels need in turn, with those extras that lines ask for, as requirement lines.

    Raises:
        RequirementsError: a line is no requirement.
    """
    variables = environment(target)
    asked: dict[str, set[str]] = {}
    for line in lines:
        requirement = parse_requirement(line)
        asked.setdefault(requirement_name(requirement.name), {""}).update(requirement.extras)
    needs = []
    for wheel in wheels:
        for line in wheel.requires:
            requirement = parse_requirement(line)
            marker, requirement.marker = requirement.marker, None
            extras = asked.get(wheel.name, {""})
            if marker is None or any(marker.evaluate({**variables, "extra": e}) for e in extras):
                needs.append(str(requirement))
    return needs


def _unmet(line: str, locked: Mapping[str, Entry]) -> str:
    requirement = parse_requirement(line)
    name = requirement_name(requirement.name)
    entry = locked.get(name)
    if entry is None:
        return f"it lacks {name}"
    if not requirement.specifier.contains(entry.version, prereleases=True):
        return f"it has {name} {entry.version}, not {requirement.specifier}"
    extras = sorted({requirement_name(extra) for extra in requirement.extras} - entry.extras)
    if extras:
        return f"it does not tell of {name}[{','.join(extras)}]"
    hashes = split_hashes(line)[1]
    if hashes and not set(entry.hashes) <= set(hashes):
        return f"it has other hashes of {name} {entry.version} than are asked for"
    return ""


def _holds(line: str, variables: dict[str, str]) -> bool:
    marker = parse_requirement(line).marker
    return marker is None or marker.evaluate(variables)


def lacking(requirements: Mapping[str, str], locked: Mapping[str, str]) -> list[str]:
    """Return what a flow imports and a lock does not have, as "module (name==version)".

    Args:
        requirements: of the flow's manifest.
        locked: versions by normalised names.
    """
    return [
        f"{module} ({line})"
        for module, line in sorted(requirements.items())
        if requirement_name(line) not in locked
    ]


def differing(installed: Mapping[str, str], locked: Mapping[str, str], where: str) -> list[str]:
    """Return a line for each distribution that a lock has in another version than is installed.

    Args:
        installed: of the flow's manifest.
        locked: versions by normalised names.
        where: what has the version of the lock, such as "in the image".
    """
    return [
        f"Not as here: {name} {locked[name]} {where}, {version} here"
        for name, version in installed.items()
        if name in locked and locked[name] not in {version, version.partition("+")[0]}
    ]

"""A lock compared with what is asked for, for the Python and platform of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.dependencies.requirements import parse_requirement, requirement_name, split_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.dependencies.lock import Entry


def entries_for(entries: Iterable[Entry], python: str, platform: str) -> dict[str, Entry]:
    """Return the lines of a lock that are for a Python and platform, by name.

    Args:
        python: a series, such as "3.11".
        platform: uv's name, from `platform_name`.

    Raises:
        RequirementsError: a marker is none.
    """
    environment = _environment(python, platform)
    found: dict[str, Entry] = {}
    for entry in entries:
        if not entry.marker or _holds(f"{entry.name} ; {entry.marker}", environment):
            found[entry.name] = entry
    return found


def unmet(
    lines: Iterable[str], locked: Mapping[str, Entry], python: str, platform: str
) -> list[str]:
    """Return what a lock does not meet of the requirement lines, as one text for each.

    Names, versions, extras and hashes are compared, of those lines whose markers hold.

    Args:
        locked: from `entries_for`.

    Raises:
        RequirementsError: a line is no requirement.
    """
    environment = _environment(python, platform)
    return [
        problem
        for line in sorted(set(lines))
        if _holds(line, environment) and (problem := _unmet(line, locked))
    ]


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


def _holds(line: str, environment: dict[str, str]) -> bool:
    marker = parse_requirement(line).marker
    return marker is None or marker.evaluate(environment)


def _environment(python: str, platform: str) -> dict[str, str]:
    # What uv assumes of a Python and platform of which it knows no more either.
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": platform.partition("-")[0],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
        "extra": "",
    }

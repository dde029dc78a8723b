"""Whether a uv.lock was made of what its project requires now, told by what uv has put down in it.

Nothing is resolved, built or asked: that would take a network, or run the project's own code.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from prefect.installed import normal_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_INDEXES = {"name", "extras", "marker", "specifier", "index"}


def changed_since(pyproject: str, lock: str) -> list[str]:
    """Return what a project requires otherwise than when it was locked.

    Markers, extras of its own and groups, which are not taken from a lock, do not count.

    Args:
        pyproject: text of a pyproject.toml.
        lock: text of the uv.lock beside it.

    Returns:
        Each requirement that is new, with "+ " before it, and each that is gone, with "- ". Nothing where they
        agree, or where one of the two does not tell.
    """
    try:
        project = tomllib.loads(pyproject)["project"]
        locked = tomllib.loads(lock)
        before = _recorded(locked, normal_name(project["name"]))
        if before is None or "dependencies" in project.get("dynamic", ()):
            return []
        asked = map(Requirement, project.get("dependencies", ()))
        now = [(normal_name(one.name), _names(one.extras), one.specifier) for one in asked]
        pythons: list[Any] = [one.get("requires-python") for one in (project, locked)]
        if all(pythons) and not locked.get("manifest", {}).get("members"):
            now.append(("python", frozenset(), SpecifierSet(pythons[0])))
            before.append(("python", frozenset(), SpecifierSet(pythons[1])))
    except (ValueError, LookupError, TypeError, AttributeError):
        return []  # who takes the lock says what is wrong with it
    # Of a source that the project names itself, the lock need not have a version.
    loose = {name for name, _, specifier in before if specifier is None}
    return [
        f"{sign} {_shown(*one)}"
        for sign, some, others in (("+", now, before), ("-", before, now))
        for one in some
        if one not in others and not (one[0] in loose and one[0] in {name for name, *_ in others})
    ]


def _recorded(locked: Mapping[str, Any], name: str) -> list[Any] | None:
    """Return the requirements of the project itself as they were locked; None where nothing tells them."""
    (own,) = (
        one
        for one in locked["package"]
        if one["name"] == name and one["source"].keys() & {"virtual", "editable", "directory"}
    )
    if "metadata" not in own:
        return None if own.get("dependencies") else []
    return [
        (
            one["name"],
            _names(one.get("extras", ())),
            SpecifierSet(one.get("specifier", "")) if one.keys() <= _OF_INDEXES else None,
        )
        for one in own["metadata"].get("requires-dist", ())
        if "extra ==" not in one.get("marker", "")
    ]


def _names(extras: Any) -> frozenset[str]:
    return frozenset(map(normal_name, extras))


def _shown(name: str, extras: frozenset[str], specifier: SpecifierSet | None) -> str:
    more = f"[{','.join(sorted(extras))}]" if extras else ""
    return f"{name}{more}{specifier or ''}"

"""RECORD files of installed distributions: what belongs to whom, and whether it is still that.

As the PyPA's specification "Recording installed projects" has them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import posixpath
from typing import TYPE_CHECKING

from prefect.dependencies.requirements import requirement_name
from prefect.errors import RequirementsError
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_HASHES = ("sha256", "sha384", "sha512")
# Of a directory of metadata in site-packages; what is vendored deeper belongs to who vendors it.
_METADATA = pattern(r".*-packages/([^/]+\.dist-info)/([^/]+)")
# What stands in no wheel's RECORD by rights: its signatures, and what installers write.
_BESIDE = frozenset(
    {"RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"}
    | {"uv_cache.json", "uv_build.json"}
)


def owners(staged: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Return what each distribution's RECORD lists: paths in the stage, with hash and size."""
    found: dict[str, dict[str, str]] = {}
    for path, file in staged.items():
        match = _METADATA.fullmatch(path)
        if match is None or match[2] != "RECORD":
            continue
        site = posixpath.dirname(posixpath.dirname(path))
        owned = found.setdefault(distribution_name(match[1]), {})
        for row in rows(file):
            owned[posixpath.normpath(posixpath.join(site, row[0]))] = ",".join(row[1:])
    return found


def stands_beside(path: str) -> bool:
    """Tell whether a file in the stage is one of those that no RECORD need list."""
    match = _METADATA.fullmatch(path)
    return match is not None and match[2] in _BESIDE


def distribution_name(info: str) -> str:
    """Return the normalised name of the distribution whose directory of metadata this is."""
    return requirement_name(info.removesuffix(".dist-info").rpartition("-")[0])


def rows(record: Path) -> list[list[str]]:
    """Return a RECORD's rows: a path from site-packages, and a hash and a size, which may be "".

    Raises:
        RequirementsError: it is malformed.
    """
    try:
        with record.open(encoding="utf-8", newline="") as file:
            return [row for row in csv.reader(file) if row]
    except (ValueError, csv.Error) as error:
        raise RequirementsError(f"{record.parent.name} has a malformed RECORD: {error}") from error


def require_recorded(name: str, listed: Mapping[str, str], staged: Mapping[str, Path]) -> list[str]:
    """Compare a distribution's files with the hashes and sizes that its RECORD has for them.

    Args:
        name: of the distribution.
        listed: of `owners`.
        staged: the files, by their paths in the stage.

    Returns:
        The paths for which it has no hash, sorted: nothing says what they should be.

    Raises:
        RequirementsError: a file is not what the RECORD says, or is not there.
    """
    unproven = []
    for path, fingerprint in sorted(listed.items()):
        if path.endswith(".dist-info/RECORD") or "/__pycache__/" in f"/{path}":
            continue
        if path not in staged:
            raise _altered(path, name, "is not there, though the RECORD of its wheel lists it")
        told, _, size = fingerprint.partition(",")
        algorithm, _, digest = told.partition("=")
        if algorithm not in _HASHES or not digest:
            unproven.append(path)
            continue
        with staged[path].open("rb") as file:
            actual = hashlib.file_digest(file, algorithm)
            length = file.tell()
        known = base64.urlsafe_b64encode(actual.digest()).decode().rstrip("=")
        if known != digest.rstrip("=") or (size and str(length) != size):
            raise _altered(path, name, "is not what the RECORD of its wheel says")
    return unproven


def require_listed(name: str, listed: Mapping[str, str], staged: Iterable[str]) -> None:
    """Refuse files that a distribution brings, and that its RECORD does not list.

    Args:
        name: of the distribution.
        listed: of `owners`.
        staged: the paths of all that it brings.

    Raises:
        RequirementsError: there is one.
    """
    if strays := sorted(path for path in staged if path not in listed):
        raise _altered(strays[0], name, "is not in the RECORD of its wheel")


def shown(path: str) -> str:
    """Return a path in the stage as people know it: from site-packages on, where it is there."""
    return path.partition("-packages/")[2] or path


def cleaning(name: str = "") -> str:
    """Return what is wrong with a distribution whose files and RECORD differ, and the fix."""
    command = f"uv cache clean {name}".strip()
    return (
        "somebody has edited uv's cache, for example in a virtual environment that shares files "
        f"with it. Clear it with `{command}`, and build again; if that does not help, the "
        "wheel itself is malformed"
    )


def _altered(path: str, name: str, what: str) -> RequirementsError:
    return RequirementsError(f"{shown(path)} of {name} {what}: {cleaning(name)}")

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

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HASHES = ("sha256", "sha384", "sha512")


def owners(staged: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Return what each distribution's RECORD lists: paths in the stage, with hash and size."""
    found: dict[str, dict[str, str]] = {}
    for path, file in staged.items():
        packages, _, name = path.rpartition("/")
        info = posixpath.basename(packages)
        if name != "RECORD" or not info.endswith(".dist-info"):
            continue
        site = posixpath.dirname(packages)
        owned = found.setdefault(distribution_name(info), {})
        for row in rows(file):
            owned[posixpath.normpath(posixpath.join(site, row[0]))] = ",".join(row[1:])
        # Signatures of a RECORD are in none.
        for other in staged:
            if other.startswith(f"{packages}/"):
                owned.setdefault(other, "")
    return found


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
        RequirementsError: a file is not what the RECORD says.
    """
    unproven = []
    for path, fingerprint in sorted(listed.items()):
        if path not in staged or path.endswith(".dist-info/RECORD"):
            continue
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
            raise RequirementsError(
                f"{path.partition('-packages/')[2] or path} of {name} is not what the RECORD of its "
                "wheel says: somebody has edited uv's cache, for example in a virtual environment "
                f"that shares files with it. Clear it with `uv cache clean {name}`, and build again; "
                "if that does not help, the wheel itself is malformed"
            )
    return unproven

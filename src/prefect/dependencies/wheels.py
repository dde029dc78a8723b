"""Wheels that travel with a flow, as its lock names them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from prefect.dependencies.requirements import requirement_name
from prefect.errors import RequirementsError
from prefect.pylock import File, Package

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def own_packages(wheels: Iterable[Path]) -> dict[str, Package]:
    """Return the packages of wheels, by normalised names, each with its file.

    Raises:
        RequirementsError: a file is not named as a wheel is, or two are of different versions.
        OSError: a file cannot be read.
    """
    found: dict[str, Package] = {}
    for wheel in sorted(wheels):
        name, _, rest = wheel.name.partition("-")
        name, version = requirement_name(name), rest.partition("-")[0]
        if wheel.suffix != ".whl" or not name or not version:
            raise RequirementsError(f"{wheel.name} is not named as a wheel is")
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        former = found.get(name)
        if former is not None and former.version != version:
            raise RequirementsError(f"There are wheels of {name} in two versions")
        files = (*(former.files if former else ()), File(wheel.name, size, digest))
        found[name] = Package(name, version, files, frozenset())
    return found

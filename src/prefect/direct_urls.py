"""Where installed distributions come from, if that is no index: PEP 610's direct_url.json."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from prefect.frozen import frozen
from prefect.installed import distribution_directories

if TYPE_CHECKING:
    from collections.abc import Iterable


@frozen
class DirectUrl:
    """The origin of a distribution that no index has, or not in this form.

    Args:
        name: the distribution's, normalised.
        version: as it is installed.
        directory: its sources, for one that is installed from a directory here; else None.
        editable: whether what is imported are these very sources.
        archive: the file that was installed, for one of this machine; else None.
        sha256: of that file, if that was recorded.
    """

    name: str
    version: str
    directory: Path | None = None
    editable: bool = False
    archive: Path | None = None
    sha256: str = ""


def direct_urls() -> dict[str, DirectUrl]:
    """Return what is installed here from elsewhere than an index, by normalised names.

    What conda installs has such a file of its makers' machines, and does not count.
    """
    found: dict[str, DirectUrl | None] = {}
    for name, version, directory in distribution_directories():
        if name not in found:  # what is imported first is the one that counts
            found[name] = _read(name, version, directory)
    return {name: one for name, one in found.items() if one is not None and name != "prefect"}


def _read(name: str, version: str, directory: str) -> DirectUrl | None:
    try:
        with open(f"{directory}/direct_url.json", "rb") as file:  # noqa: PTH123 - of each that is installed
            values: Any = json.load(file)
        url = values["url"]
        info, archive = values.get("dir_info"), values.get("archive_info")
        local = _path(url)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if _installer(directory) == "conda":
        return None
    if isinstance(info, dict):
        return DirectUrl(name, version, local, editable=info.get("editable") is True)
    hashes = archive.get("hashes") if isinstance(archive, dict) else None
    sha256 = hashes.get("sha256", "") if isinstance(hashes, dict) else ""
    return DirectUrl(name, version, archive=local, sha256=str(sha256))


def _path(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _installer(directory: str) -> str:
    try:
        return Path(directory, "INSTALLER").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def editable_projects() -> tuple[DirectUrl, ...]:
    """Return what is installed here as sources that are imported where they are, inner ones first."""
    found = [one for one in direct_urls().values() if one.editable and one.directory is not None]
    return tuple(sorted(found, key=lambda one: -len(str(one.directory))))


def project_of(file: str, projects: Iterable[DirectUrl]) -> DirectUrl | None:
    """Return that of `editable_projects` within whose directory a file lies, the innermost."""
    path = os.path.realpath(file)
    for one in projects:
        if path.startswith(os.path.realpath(str(one.directory)) + os.sep):
            return one
    return None

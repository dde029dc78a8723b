"""Requirement lines (PEP 508): which are taken, whom they ask for, and what is installed here."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress

from prefect.errors import RequirementsError

# What PEP 440 calls a version, without the local part that no index has.
_VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")
_INSTALLED = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-py[\d.]+)?\.(dist|egg)-info")
_URL = re.compile(r"://([^\s'\"`<>]+)")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def requirement_name(line: str) -> str:
    """Return the normalised name of the distribution that a requirement line asks for."""
    match = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def check_requirement(line: str) -> None:
    """Refuse a line that is no requirement, or one of prefect itself or of an address.

    Raises:
        RequirementsError: names the line and what to write instead.
    """
    if "://" in line or re.search(r"\s@\s", line):
        raise RequirementsError(
            f"{requirement_name(line)!r} is asked for by an address. A lock has hashes and no "
            "addresses, which may hold passwords: publish it to an index, or install it in the base"
        )
    odd = not line.isprintable() or not requirement_name(line)
    if odd or line.startswith(("-", "#", "/", ".")):
        raise RequirementsError(
            f"{line!r} is not a requirement: write a name and, where it matters, a version, "
            "such as 'pandas>=2'"
        )
    if requirement_name(line) == "prefect":
        raise RequirementsError(
            "prefect must not be among the dependencies: every image gets the very prefect that "
            "builds it"
        )


def without_passwords(text: str) -> str:
    """Return text with `***` for the user, password and query that its URLs may have."""
    return _URL.sub(_without_password, text)


def _without_password(url: re.Match[str]) -> str:
    _, at, rest = url[1].rpartition("@")
    rest, question, _ = rest.partition("?")
    return f"://{'***@' if at else ''}{rest}{'?***' if question else ''}"


def installed_versions() -> list[str]:
    """Return what is installed here as sorted lines of "name==version"."""
    found: dict[str, str] = {}
    # The names of the directories say it all, and opening what is in them takes a hundred times
    # as long (the PyPA's specification "Recording installed projects").
    for directory in sys.path:
        with suppress(OSError):
            for entry in sorted(os.listdir(directory or ".")):  # noqa: PTH208 - names alone
                match = _INSTALLED.fullmatch(entry)
                # Linux distributions have versions of their own making.
                if match and _VERSION.fullmatch(version := match["version"].replace("_", "-")):
                    found.setdefault(requirement_name(match["name"]), version)
    return sorted(f"{name}=={version}" for name, version in found.items() if name != "prefect")

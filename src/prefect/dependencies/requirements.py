"""Requirement lines (PEP 508): which are taken, whom they ask for, and what is installed here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prefect.errors import RequirementsError
from prefect.installed import distributions, normal_name
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement
    from packaging.version import Version

# What PEP 440 calls a version, without the local part that no index has.
_VERSION = pattern(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")
_URL = pattern(r"://([^\s'\"`<>]+)")
_NAME = pattern(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_DISTRIBUTION = pattern(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_HASH_OPTION = pattern(r"\s+--hash(?:=|\s+)(\S+)")
_HASH = pattern(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")


def requirement_name(line: str) -> str:
    """Return the normalised name of the distribution that a requirement line asks for."""
    match = _NAME.match(line)
    return normal_name(match[1]) if match else ""


def split_hashes(line: str) -> tuple[str, list[str]]:
    """Return a requirement line without its `--hash=…` options, and their hashes."""
    return _HASH_OPTION.sub("", line).strip(), _HASH_OPTION.findall(line)


def parse_requirement(line: str) -> Requirement:
    """Return a requirement line, without its hashes, as packaging knows it.

    Raises:
        RequirementsError: it is not what PEP 508 calls a requirement.
    """
    # Imported here: most builds find their lock remembered, and compare none.
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    try:
        return Requirement(split_hashes(line)[0])
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise RequirementsError(f"{line!r} is not a requirement: {reason}") from error


def pinned_version(requirement: Requirement) -> Version | None:
    """Return the one version that a requirement allows; None if it may be one of several."""
    from packaging.version import Version  # noqa: PLC0415 - as above

    match [one.version for one in requirement.specifier if one.operator in {"==", "==="}]:
        case [version] if not version.endswith(".*"):
            return Version(version)
    return None


def refuse_option(line: str) -> None:
    """Refuse a line that is one of pip's options, as requirements files have them.

    Raises:
        RequirementsError: names the option, without its value, and what there is instead.
    """
    if line.startswith("-"):
        option = re.split(r"[=\s]", line, maxsplit=1)[0]
        raise RequirementsError(
            f"{option} is an option of pip's and not a requirement. Requirements are lines such as "
            "'pandas>=2', with hashes if need be; for the rest there are uv's variables: "
            "UV_DEFAULT_INDEX and UV_INDEX name indexes, UV_FIND_LINKS a directory of wheels, "
            "UV_CONSTRAINT a file of constraints. Another file of requirements has a -r of its own"
        )


def check_requirement(line: str) -> None:
    """Refuse a line that is no requirement, or one of prefect itself or of an address.

    Hashes stand behind the exact version that they are of (`six==1.17.0 --hash=sha256:…`).

    Raises:
        RequirementsError: names the line and what to write instead.
    """
    refuse_option(line)
    if "://" in line or re.search(r"\s@\s", line):
        raise RequirementsError(
            f"{without_passwords(line)[:150]!r} is asked for by an address. A lock has hashes and no "
            "addresses, which may hold passwords: publish what is there to an index and name it as "
            "NAME==VERSION, or install it in the base"
        )
    bare, hashes = split_hashes(line)
    odd = not line.isprintable() or not requirement_name(line) or re.search(r"\s-", bare)
    if odd or line.startswith(("#", "/", ".")):
        raise RequirementsError(
            f"{line!r} is not a requirement: write a name and, where it matters, a version, "
            "such as 'pandas>=2'"
        )
    if requirement_name(line) == "prefect":
        raise RequirementsError(
            "prefect must not be among the dependencies: every image gets the very prefect that "
            "builds it"
        )
    for one in hashes:
        if not _HASH.fullmatch(one):
            raise RequirementsError(
                f"{one[:150]!r} is no hash of {requirement_name(line)}: write sha256:<64 hex digits>, "
                "or one of sha384 or sha512"
            )
    if hashes and pinned_version(parse_requirement(line)) is None:
        raise RequirementsError(
            f"{bare!r} has hashes, which belong to the files of one version: write "
            f"{requirement_name(line)}==VERSION before them"
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
    for name, written in distributions():
        # Linux distributions have versions of their own making.
        if _VERSION.fullmatch(version := written.replace("_", "-")):
            found.setdefault(name, version)
    return sorted(f"{name}=={version}" for name, version in found.items() if name != "prefect")


def imported(requirements: Mapping[str, str], asked: Iterable[str]) -> list[str]:
    """Return what a flow imports as requirement lines, but for what is asked for.

    Args:
        requirements: of the flow's manifest: modules to "name==version".
        asked: requirement lines.
    """
    named = {requirement_name(line) for line in asked}
    # A local version such as 2.1+cpu is a build of that version that no index has.
    lines = sorted({line.partition("+")[0] for line in requirements.values()})
    return [line for line in lines if requirement_name(line) not in named]


def check_sources_of_versions(
    *, lock: str | None, relock: bool, project: str | None, sources: Iterable[str]
) -> None:
    """Refuse what an environment cannot mean by where versions and files come from.

    Args:
        lock: file of a lock.
        relock: whether to write it anew.
        project: directory of a project whose lock is taken.
        sources: names of distributions that may be built from source.

    Raises:
        ValueError: says what.
    """
    for name in sources:
        if not _DISTRIBUTION.fullmatch(name):
            raise ValueError(f"{name!r} is no distribution's name, such as docopt")
    if relock and lock is None:
        raise ValueError("There is nothing to lock anew: name the file, by --lock or lock=")
    if project is not None and lock is not None:
        raise ValueError("A lock and a project are two sources of versions: name one of them")

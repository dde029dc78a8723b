"""The pylock.toml of other tools, uv first of all, reduced to what travels."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from prefect.dependencies.requirements import requirement_name
from prefect.dependencies.targets import c_library_told, environment, uv_platform, wheel_tags
from prefect.errors import FormatError, RequirementsError
from prefect.patterns import pattern
from prefect.pylock import File, Package, read, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from packaging.tags import Tag

    from prefect.pylock import Target

_RELEASES = 100  # of a series of Python: more than any has
_SHA256 = pattern(r"[0-9a-f]{64}")


def is_pylock(text: str) -> bool:
    """Tell a pylock.toml from a lock of requirement lines."""
    return re.search(r"^\s*lock-version\s*=", text, re.MULTILINE) is not None


class Pylock:
    """What a pylock.toml says.

    Args:
        text: of it.
        name: how people know it, such as its path.
        fix: what to do where it does not fit, as the beginning of a sentence.

    Raises:
        RequirementsError: it is no pylock.toml that is understood here.
    """

    def __init__(self, text: str, name: str, fix: str) -> None:
        self._text = text
        self._name = name
        self._fix = fix
        try:
            content: Any = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise RequirementsError(f"{name} is no TOML: {error}") from error
        if not str(content.get("lock-version", "")).startswith("1."):
            raise RequirementsError(f"{name} is no pylock.toml of version 1")
        entries = content.get("packages", [])
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise RequirementsError(f"{name} lists no packages")
        self._entries: list[dict[str, Any]] = entries
        self._series = str(content.get("requires-python", ""))
        markers = content.get("environments", [])
        self._environments = list(map(str, markers)) if isinstance(markers, list) else []

    def packages(
        self,
        target: Target,
        *,
        sources: Collection[str] = (),
        own: Mapping[str, Package] | None = None,
    ) -> list[Package]:
        """Return what it has for a target: of each package the file that fits best.

        Args:
            target: the Python and platform.
            sources: normalised names of what may be built from source, where no wheel fits.
            own: packages that are taken instead of those of the same name.

        Raises:
            RequirementsError: it is not for the target; a package is none with files and hashes, has
                no wheel that fits, or stands there twice.
        """
        self._require_for(target)
        found: dict[str, Package] = {}
        for entry in self._entries:
            name = requirement_name(str(entry.get("name", "")))
            if not name:
                raise RequirementsError(f"{self._name} has a package without a name")
            if not self._holds(entry, target):
                continue
            if name in found:
                raise RequirementsError(f"{self._name} has {name} twice for {target}")
            mine = (own or {}).get(name)
            if mine and not _same_version(mine.version, entry.get("version")):
                raise RequirementsError(
                    f"{self._name} has {name} {entry.get('version')}, and its wheel that travels is of "
                    f"version {mine.version}. Ask for that one: {name}=={mine.version}"
                )
            found[name] = mine or self._package(name, entry, target, sources)
        return [found[name] for name in sorted(found)]

    def requirement_lines(self, target: Target) -> str:
        """Return what it has for a target as requirement lines, with the hashes of all files.

        For who installs by lines, and chooses among the files.

        Raises:
            RequirementsError: it is not for the target, or a package is none with files and hashes.
        """
        self._require_for(target)
        lines = []
        for entry in self._entries:
            name, version = requirement_name(str(entry.get("name", ""))), entry.get("version")
            if not self._holds(entry, target):
                continue
            if not name or not isinstance(version, str):
                raise self._without_version(name)
            files = [*_list(entry.get("wheels")), *_list([entry.get("sdist")])]
            hashes = sorted({self._file(name, one).sha256 for one in files})
            lines.append(f"{name}=={version}{''.join(f' --hash=sha256:{one}' for one in hashes)}\n")
        return "".join(lines)

    def _require_for(self, target: Target) -> None:
        """Refuse a target that it was not locked for, as PEP 751 has it."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - for locks alone

        try:
            series = SpecifierSet(self._series)
        except InvalidSpecifier as error:
            raise RequirementsError(
                f"{self._name} requires a Python that is not understood: {self._series!r:.200}"
            ) from error
        # Of a target its series is known, and no more: one release of it is enough.
        releases = (f"{target.python}.{patch}" for patch in range(_RELEASES))
        marked = (self._marked(marker, target) for marker in self._environments)
        if any(map(series.contains, releases)) and (not self._environments or any(marked)):
            return
        try:
            told = shown(read(self._text).targets)
        except FormatError:  # of another tool
            told = " or ".join(self._environments) or f"Python {self._series}"
        raise RequirementsError(
            f"{self._name} is locked for {told}, and not for {target}. {self._fix}"
        )

    def _without_version(self, name: str) -> RequirementsError:
        return RequirementsError(
            f"{self._name} has {name} without a version: a directory, a repository or an address. "
            "What travels is locked by version and hash: build a wheel of it, or publish it"
        )

    def _holds(self, entry: Mapping[str, Any], target: Target) -> bool:
        text = entry.get("marker")
        return text is None or self._marked(text, target)

    def _marked(self, text: Any, target: Target) -> bool:
        from packaging.markers import InvalidMarker, Marker  # noqa: PLC0415 - many have none

        variables: dict[str, Any] = environment(target)
        del variables["extra"]
        variables |= {"extras": frozenset(), "dependency_groups": frozenset()}
        try:
            return Marker(str(text)).evaluate(variables, context="lock_file")
        except (InvalidMarker, KeyError, ValueError) as error:
            raise RequirementsError(
                f"{self._name} has a marker that is not understood: {text!r:.200}"
            ) from error

    def _package(
        self, name: str, entry: Mapping[str, Any], target: Target, sources: Collection[str]
    ) -> Package:
        version = entry.get("version")
        if not isinstance(version, str):
            raise self._without_version(name)
        wheels = [self._file(name, one) for one in _list(entry.get("wheels"))]
        if best := _best(wheels, target):
            file = best
        elif name in sources and isinstance(entry.get("sdist"), dict):
            file = self._file(name, entry["sdist"])
        else:
            source = (
                "; or have it built from its source, which runs a stranger's code: --allow-source "
                f"{name} (allow_source=)"
                if isinstance(entry.get("sdist"), dict)
                else ""
            )
            # There are some for the same machine, and another C library or Python.
            told = ""
            if any("linux" in one.name and target.machine in one.name for one in wheels):
                told = c_library_told(uv_platform(target), target.python, target=str(target))
            raise RequirementsError(
                f"{self._name} has no wheel of {name} {version} that fits {target}.{told} {self._fix}{source}"
            )
        return Package(name, version, (file,), frozenset({target}))

    def _file(self, package: str, entry: Mapping[str, Any]) -> File:
        hashes = entry.get("hashes")
        sha256 = str(hashes.get("sha256", "")) if isinstance(hashes, dict) else ""
        where = str(entry.get("name") or entry.get("path") or "")
        where = where or unquote(urlsplit(str(entry.get("url", ""))).path)
        size = entry.get("size")
        if not _SHA256.fullmatch(sha256):
            raise RequirementsError(f"{self._name} has a file of {package} without its sha256")
        return File(
            re.split(r"[/\\]", where)[-1], size if type(size) is int and size > 0 else None, sha256
        )


def _list(value: Any) -> list[Mapping[str, Any]]:
    return (
        [each for each in value or () if isinstance(each, dict)] if isinstance(value, list) else []
    )


def _best(wheels: list[File], target: Target) -> File | None:
    """Return the wheel whose tag is the first of those that fit, and None where none does."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415

    ranks = _ranks(target, target.glibc)
    found = []
    for wheel in wheels:
        try:
            _, _, build, tags = parse_wheel_filename(wheel.name)
        except InvalidWheelFilename:
            continue
        fitting = [ranks[tag] for tag in tags if tag in ranks]
        if fitting:
            found.append(((min(fitting), [-part for part in build[:1]]), wheel))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _same_version(own: str, other: Any) -> bool:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - for wheels that travel

    try:
        return other is None or Version(own) == Version(str(other))
    except InvalidVersion:
        return False


@cache
def _ranks(target: Target, _glibc: tuple[int, int] | None) -> dict[Tag, int]:
    # Targets that differ by their C library alone are equal, and have other wheels.
    return {tag: rank for rank, tag in enumerate(wheel_tags(target))}

"""Wheels as files: what one says of itself, and one made anew so that only its content shows.

As the PyPA's specification "Binary distribution format" has them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from prefect.dependencies.requirements import requirement_name
from prefect.errors import RequirementsError
from prefect.frozen import frozen
from prefect.patterns import pattern
from prefect.pylock import File, Package

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_NAME = pattern(
    r"(?P<name>[A-Za-z0-9][\w.]*)-(?P<version>[A-Za-z0-9_.!+]+)(?:-\d[^-]*)?-(?P<tags>[\w.]+-[\w.]+-[\w.]+)\.whl",
    re.ASCII,
)
_SUFFIX = pattern(r"\.py|(?:\.[\w-]+)?\.(?:so|pyd)")
_LIBRARIES = pattern(r"[^/]+\.data/(?:pure|plat)lib/")
_INFO = pattern(r"([^/]+\.dist-info)/([^/]+)")
_SIGNATURES = frozenset({"RECORD", "RECORD.jws", "RECORD.p7s"})
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip archive can say
_FILE, _PROGRAM = 0o100644, 0o100755


@frozen
class Wheel:
    """A wheel on disk.

    Args:
        path: with the name that a wheel of this content has.
        name: of the distribution, normalised.
        version: as its metadata has it.
        sha256: of the file, in hexadecimal digits.
        size: of the file, in bytes.
        tags: for which interpreters and platforms it is, such as "py3-none-any".
        metadata: the text of METADATA.
        modules: importable names that it brings, packages among them.
        origin: what it was made from, as people know it.
    """

    path: Path
    name: str
    version: str
    sha256: str
    size: int
    tags: frozenset[str]
    metadata: str
    modules: frozenset[str]
    origin: str = ""

    @property
    def pure(self) -> bool:
        """Whether it is for every platform."""
        return all(tag.endswith("-none-any") for tag in self.tags)

    @property
    def requires(self) -> list[str]:
        """What it needs in turn, as requirement lines."""
        return HeaderParser().parsestr(self.metadata).get_all("Requires-Dist", [])

    @property
    def extras(self) -> frozenset[str]:
        """The names of its extras, normalised."""
        found = HeaderParser().parsestr(self.metadata).get_all("Provides-Extra", [])
        return frozenset(map(requirement_name, found))

    @property
    def line(self) -> str:
        """Itself as a requirement line."""
        return f"{self.name}=={self.version}"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def read_wheel(path: Path, origin: str = "") -> Wheel:
    """Return what a wheel says of itself.

    Raises:
        RequirementsError: it is not there, or no wheel.
    """
    import zipfile  # noqa: PLC0415 - what is remembered of wheels needs it not

    match = _NAME.fullmatch(path.name)
    if match is None:
        raise RequirementsError(
            f"{path.name} is not a wheel's name, such as etl-1.0-py3-none-any.whl"
        )
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
                info = _info(names, path)
                metadata = archive.read(f"{info}/METADATA").decode()
                tags = _tags(archive.read(f"{info}/WHEEL").decode())
    except FileNotFoundError as error:
        raise RequirementsError(f"There is no wheel {path}") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RequirementsError(f"{path} is not a wheel that can be read: {error}") from error
    headers = HeaderParser().parsestr(metadata)
    name, version = str(headers.get("Name", "")), str(headers.get("Version", ""))
    if requirement_name(name) != requirement_name(match["name"]) or not version:
        raise RequirementsError(f"{path.name} says within that it is {name!r} {version!r}")
    modules = frozenset(_modules(names))
    return Wheel(
        path, requirement_name(name), version, sha256, size, tags, metadata, modules, origin
    )


def own_packages(wheels: Iterable[Wheel]) -> dict[str, Package]:
    """Return wheels as packages of a lock, by normalised names."""
    return {
        one.name: Package(
            one.name, one.version, (File(one.path.name, one.size, one.sha256),), frozenset()
        )
        for one in wheels
    }


def _info(names: Iterable[str], path: Path) -> str:
    found = {match[1] for name in names if (match := _INFO.fullmatch(name))}
    if len(found) != 1:
        raise RequirementsError(f"{path} is not a wheel: it has no one directory of metadata")
    return found.pop()


def _tags(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"^Tag: *(\S+)", text, flags=re.MULTILINE))


def _modules(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = _LIBRARIES.sub("", name, count=1)
        folder, _, file = path.rpartition("/")
        stem, dot, rest = file.partition(".")
        if not dot or not _SUFFIX.fullmatch(f".{rest}") or ".dist-info" in folder:
            continue
        parts = [*(folder.split("/") if folder else ()), *(() if stem == "__init__" else (stem,))]
        if parts and all(part.isidentifier() for part in parts):
            for count in range(1, len(parts) + 1):  # the namespaces above it among them
                yield ".".join(parts[:count])


def repack(source: Path, directory: Path) -> Path:
    """Write a wheel anew, so that nothing but its content shows; return the new file.

    Members stand sorted and uncompressed, without times, and with the two permissions that a wheel
    has; its RECORD is made from them.

    Args:
        source: the wheel.
        directory: where the new one goes, under the same name.

    Raises:
        RequirementsError: it is no wheel.
        OSError: it cannot be written.
    """
    info, members = _members(source)
    return write_wheel(directory / source.name, info, members)


def with_requirements(wheel: Wheel, instead: Mapping[str, str | None], directory: Path) -> Wheel:
    """Write a wheel anew with other requirements; return it.

    Args:
        instead: by those of its requirement lines that change: another one, or None for none.
        directory: where the new one goes, under the same name.

    Raises:
        RequirementsError: it is no wheel.
        OSError: it cannot be written.
    """
    info, members = _members(wheel.path)
    name = f"{info}/METADATA"
    head, end, text = wheel.metadata.replace("\r\n", "\n").partition("\n\n")
    headers = []
    for header in re.split(r"\n(?![ \t])", head):
        key, _, value = header.partition(":")
        line = " ".join(value.split()) if key.lower() == "requires-dist" else ""
        known = {" ".join(one.split()): other for one, other in instead.items()}
        if line not in known:
            headers.append(header)
        elif known[line] is not None:
            headers.append(f"{key}: {known[line]}")
    members[name] = ("\n".join(headers).encode() + (end + text).encode(), members[name][1])
    written = write_wheel(directory / wheel.path.name, info, members)
    return read_wheel(written, origin=wheel.origin)


def _members(source: Path) -> tuple[str, dict[str, tuple[bytes, bool]]]:
    """Return the name of a wheel's directory of metadata, and its files without signatures."""
    import zipfile  # noqa: PLC0415 - what is remembered of wheels needs it not

    try:
        with zipfile.ZipFile(source) as archive:
            members = {
                one.filename: (archive.read(one), bool(one.external_attr >> 16 & 0o100))
                for one in archive.infolist()
                if not one.is_dir()
            }
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise RequirementsError(f"{source} is not a wheel that can be read: {error}") from error
    info = _info(members, source)
    for name in _SIGNATURES:
        members.pop(f"{info}/{name}", None)
    return info, members


def write_wheel(path: Path, info: str, members: Mapping[str, tuple[bytes, bool]]) -> Path:
    """Write a wheel of members, reproducibly.

    Args:
        path: the file.
        info: name of its directory of metadata.
        members: content, and whether it is a program, by path; without RECORD.

    Raises:
        RequirementsError: a member's path leads out of it.
        OSError: it cannot be written.
    """
    import zipfile  # noqa: PLC0415 - what is remembered of wheels needs it not

    record = io.StringIO(newline="")
    rows = csv.writer(record, lineterminator="\n")
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(members, key=lambda name: (name.startswith(f"{info}/"), name)):
            if name.startswith("/") or ".." in name.split("/"):
                raise RequirementsError(f"{path.name} has a file outside of itself: {name!r}")
            content, executable = members[name]
            if name == f"{info}/WHEEL":  # else the same sources gave another file with each release
                content = re.sub(rb"(?m)^Generator:.*$", b"Generator: prefect", content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
            rows.writerow([name, f"sha256={digest.decode().rstrip('=')}", len(content)])
            archive.writestr(_member(name, _PROGRAM if executable else _FILE), content)
        rows.writerow([f"{info}/RECORD", "", ""])
        archive.writestr(_member(f"{info}/RECORD", _FILE), record.getvalue())
    return path


def _member(name: str, mode: int) -> zipfile.ZipInfo:
    import zipfile  # noqa: PLC0415 - what is remembered of wheels needs it not

    member = zipfile.ZipInfo(
        name, _EPOCH
    )  # stored: what compresses differs from machine to machine
    member.create_system = 3
    member.external_attr = mode << 16
    return member

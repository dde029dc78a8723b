"""What stands in the clear in a file that runs by itself, as its index lists it."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from prefect.errors import FormatError
from prefect.pyz.reading import INDEX, SEALED, WHEELS, Member, Source, content, read_members

if TYPE_CHECKING:
    from collections.abc import Mapping

_RELEASE = re.compile(r"[\w.!+-]{1,100}", re.ASCII)
_SERIES = re.compile(r"cp3(\d+)", re.ASCII)
_GLIBC = re.compile(r"manylinux_2_(\d+)_", re.ASCII)
_SYSTEMS = {"manylinux": "linux", "musllinux": "linux (musl)", "linux": "linux", "macosx": "macos"}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "riscv64": "riscv64"}
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Index(NamedTuple):
    """The index of a file that runs by itself.

    Args:
        release: of this package, whose files those are.
        files: SHA-256 of each other member in the clear, in hexadecimal digits, by its name.
        text: the index as it lies there.
    """

    release: str
    files: dict[str, str]
    text: bytes

    @property
    def digest(self) -> str:
        """What a manifest says of it: SHA-256 in hexadecimal digits."""
        return sha256(self.text).hexdigest()

    @property
    def wheels(self) -> list[str]:
        """The names of the wheels."""
        return [name.removeprefix(WHEELS) for name in self.files if name.startswith(WHEELS)]

    @property
    def runs_on(self) -> str:
        """Which Pythons and platforms it brings cryptography for, for people."""
        series: dict[str, set[int]] = {}
        glibc: dict[str, int] = {}
        for name in self.wheels:
            *_, python, abi, platforms = name.removesuffix(".whl").split("-")
            if abi == "none":
                continue
            place = _place(platforms)
            if abi != "abi3" and (match := _SERIES.fullmatch(python)):
                series.setdefault(place, set()).add(int(match[1]))
            found = [int(minor) for minor in _GLIBC.findall(platforms)]
            glibc[place] = max(glibc.get(place, 0), min(found, default=0))
        told = [
            f"Python {', '.join(f'3.{minor}' for minor in sorted(found))} on {place}"
            + (f" with glibc 2.{glibc[place]} or newer" if glibc[place] else "")
            for place, found in sorted(series.items())
        ]
        return "; ".join(told) or "where cryptography is installed"


def index_text(files: Mapping[str, bytes], release: str) -> bytes:
    """Return the index of members in the clear.

    Args:
        files: contents by names.
        release: the version of this package whose files they are.
    """
    listed = {name: [len(data), sha256(data).hexdigest()] for name, data in files.items()}
    index = {"files": listed, "format": 1, "prefect": release}
    return json.dumps(index, sort_keys=True, separators=(",", ":")).encode()


def read_index(source: Source, members: Mapping[str, Member]) -> Index:
    """Return the index; that the members are what it lists is `indexed_content`'s business.

    Raises:
        FormatError: it is none, or lists other members than there are.
    """
    text = content(source, members[INDEX])
    try:
        values = json.loads(text)
        release = values["prefect"]
        files = {name: digest for name, (_, digest) in values["files"].items()}
        well_formed = (
            values["format"] == 1
            and _RELEASE.fullmatch(release)
            and all(map(_DIGEST.fullmatch, files.values()))
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        well_formed = None
    if not well_formed:
        raise FormatError("This file that runs by itself is malformed: its index is none")
    if {*files, INDEX, SEALED} != members.keys():
        raise FormatError(
            "This file that runs by itself is malformed: its index lists other members than it has"
        )
    return Index(release, files, text)


def indexed_content(source: Source, member: Member, index: Index) -> bytes:
    """Return a member in the clear, compared with its digest in the index.

    Raises:
        FormatError: it is another.
    """
    found = content(source, member)
    if sha256(found).hexdigest() != index.files[member.name]:
        raise FormatError(
            f"This file that runs by itself is damaged: its {member.name} is not what its index says. "
            "Get it again from who built it"
        )
    return found


def read_whole_index(source: Source) -> Index:
    """Return the index, and compare every member in the clear with it.

    Raises:
        FormatError: it is malformed, or one is another.
    """
    members = read_members(source)
    index = read_index(source, members)
    for name in index.files:
        indexed_content(source, members[name], index)
    return index


def _place(platforms: str) -> str:
    """Return the system and machine of a wheel's platforms, as people know them."""
    first = platforms.partition(".")[0]
    system = next((told for start, told in _SYSTEMS.items() if first.startswith(start)), "")
    machine = next((one for one in _MACHINES if first.endswith(f"_{one}")), "")
    return f"{system}/{_MACHINES[machine]}" if system and machine else first

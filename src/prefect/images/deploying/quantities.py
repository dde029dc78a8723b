"""Quantities, users, volumes and variables as users of docker write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from prefect.frozen import frozen
from prefect.patterns import pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

_MEMORY = pattern(r"(\d{1,15}(?:\.\d{1,6})?)([bkmgt]?)(?:i?b?)", re.IGNORECASE)
_UNITS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LEAST_MEMORY = 6 << 20  # with less, docker starts no container
_CPUS = pattern(r"\d{1,6}(?:\.\d{1,3})?")
_DURATION = pattern(r"(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s?)?")
_SECONDS = (86400, 3600, 60, 1)
_USER = pattern(r"(\d{1,10})(?::(\d{1,10}))?")
_LARGEST_ID = 2**31 - 1  # Kubernetes'
_VARIABLE = pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_VOLUME_NAME = pattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


def parse_memory(text: str) -> int:
    """Return the bytes of a text such as "512m" or "2g", whose units are powers of 1024.

    Raises:
        ValueError: it is none, or too little for any container.
    """
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no amount of memory: write 512m or 2g, for example")
    count = int(Decimal(match[1]) * 1024 ** _UNITS[match[2].lower()])
    if count < _LEAST_MEMORY:
        raise ValueError(f"{text!r} is too little memory: a container needs 6m or more")
    return count


def memory_text(count: int, units: Iterable[str]) -> str:
    """Return bytes in the largest unit of which they are a whole number.

    Args:
        units: for each power of 1024, from the first on, what it is called.
    """
    found, name = count, ""
    for unit in units:
        if found % 1024:
            break
        found, name = found // 1024, unit
    return f"{found}{name}"


def parse_cpus(text: str) -> Decimal:
    """Return a number of processors, such as "2" or "1.5".

    Raises:
        ValueError: it is none.
    """
    if not _CPUS.fullmatch(text) or not Decimal(text):
        raise ValueError(f"{text!r} is no number of processors: write 2 or 1.5, for example")
    count = Decimal(text).normalize()
    return count if count != count.to_integral() else count.quantize(Decimal(1))


def parse_duration(text: str) -> int:
    """Return the seconds of a text such as "90", "90s", "15m", "1h30m" or "2d".

    Raises:
        ValueError: it is none, or no time at all.
    """
    match = _DURATION.fullmatch(text)
    seconds = 0
    if match is not None:
        seconds = sum(int(n or 0) * unit for n, unit in zip(match.groups(), _SECONDS, strict=True))
    if not seconds:
        raise ValueError(f"{text!r} is no time: write 90s, 15m, 1h30m or 2d, for example")
    return seconds


@frozen
class User:
    """Whom the program in a container runs as.

    Args:
        uid: 0 is root.
        gid: None leaves it to the platform.
    """

    uid: int
    gid: int | None = None

    def __str__(self) -> str:
        return str(self.uid) if self.gid is None else f"{self.uid}:{self.gid}"

    @property
    def group(self) -> int:
        """A group that files can be given to, so that this user reads them."""
        return self.uid if self.gid is None else self.gid


def parse_user(text: str) -> User:
    """Return the user of "UID" or "UID:GID".

    Raises:
        ValueError: it is another text, such as a name, or too large a number.
    """
    match = _USER.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is no user by number: write UID or UID:GID, such as 1000:1000. Platforms do "
            "not look names up in the image"
        )
    uid, gid = int(match[1]), None if match[2] is None else int(match[2])
    if max(uid, gid or 0) > _LARGEST_ID:
        raise ValueError(f"{text!r} is no user: numbers end at {_LARGEST_ID}")
    return User(uid, gid)


@frozen
class Volume:
    """A directory of the platform in a container.

    Args:
        source: an absolute path of the machine, or the name of a volume.
        target: an absolute path in the container.
    """

    source: str
    target: str
    read_only: bool = False

    @property
    def is_path(self) -> bool:
        """Whether the source is a path of the machine, and no volume by name."""
        return self.source.startswith("/")

    def __str__(self) -> str:
        return f"{self.source}:{self.target}{':ro' if self.read_only else ''}"


def parse_volume(text: str) -> Volume:
    """Return the volume of "SOURCE:TARGET" or "SOURCE:TARGET:ro".

    Raises:
        ValueError: it is another text, or a path is relative.
    """
    source, _, rest = text.partition(":")
    target, colon, mode = rest.partition(":")
    if not (source and target) or (colon and mode not in {"ro", "rw"}):
        raise ValueError(f"{text!r} is no volume: write SOURCE:TARGET or SOURCE:TARGET:ro")
    if not source.startswith("/") and not _VOLUME_NAME.fullmatch(source):
        raise ValueError(f"The volume {text!r} begins with a relative path: write an absolute one")
    if not target.startswith("/"):
        raise ValueError(f"The volume {text!r} ends in a relative path: write an absolute one")
    return Volume(source, target, mode == "ro")


def parse_variables(pairs: Iterable[str]) -> dict[str, str]:
    """Take each "NAME=VALUE" apart.

    Raises:
        ValueError: one has no value or no variable's name, or a name is given twice.
    """
    parsed: dict[str, str] = {}
    for text in pairs:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(
                f"{text!r} is no variable with a value: write NAME=VALUE. What is in a variable here "
                "is not read. A secret's value comes by reference: name it with --secret"
            )
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a variable: letters, digits and underscores")
        if name in parsed:
            raise ValueError(f"The variable {name} is given twice")
        parsed[name] = value
    return parsed

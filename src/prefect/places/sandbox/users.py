"""As whom a run is: what an image's `User`, or --user, means by the image's own files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.frozen import frozen
from prefect.patterns import pattern

if TYPE_CHECKING:
    from prefect.places.sandbox.stack import Stack

_MOST = 1 << 20  # bytes of a file of users
_NUMBER = pattern(r"[0-9]{1,10}", re.ASCII)
_LAST = (1 << 32) - 2


@frozen
class User:
    """Numbers of a user and a group within a sandbox, and the user's home."""

    uid: int
    gid: int
    home: str


def find_user(stack: Stack, wanted: str) -> User:
    """Return whom a text such as "app", "1000" or "app:staff" means in an image; root if it is empty.

    Raises:
        PlaceError: the image knows no such user or group.
    """
    name, _, group = wanted.partition(":")
    users = _entries(stack, "/etc/passwd", 7)
    name = name or "0"
    known = next((each for each in users if name in (each[0], each[2])), None)
    if known is None and not _NUMBER.fullmatch(name):
        raise PlaceError(
            f"The image knows no user {name!r}: its /etc/passwd has none. Name a number"
        )
    gid = known[3] if known else "0"
    if group:
        groups = _entries(stack, "/etc/group", 4)
        gid = next((each[2] for each in groups if group in (each[0], each[2])), group)
    uid = known[2] if known else name
    if not (_NUMBER.fullmatch(uid) and _NUMBER.fullmatch(gid)):
        raise PlaceError(
            f"The image knows no group {group!r}: its /etc/group has none. Name a number"
        )
    if max(int(uid), int(gid)) > _LAST:
        raise PlaceError(f"{wanted!r} is no user: numbers are at most {_LAST}")
    return User(int(uid), int(gid), (known[5] if known else "") or "/")


def _entries(stack: Stack, path: str, fields: int) -> list[list[str]]:
    text = (stack.read(path, _MOST) or b"").decode(errors="replace")
    lines = (line.split(":") for line in text.splitlines())
    return [line for line in lines if len(line) == fields and _NUMBER.fullmatch(line[2])]

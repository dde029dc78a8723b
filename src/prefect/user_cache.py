"""Where a user's caches are, in directories that nobody else can change: what is in one is believed."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from functools import cache
from pathlib import Path

from prefect.errors import SettingError
from prefect.patterns import pattern

_SIZE = pattern(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(i?)B?|B)?", re.IGNORECASE)


def cache_home() -> Path | None:
    """Return where programs keep caches: `$XDG_CACHE_HOME` or `~/.cache`.

    None where there is no home directory. A relative XDG_CACHE_HOME counts as unset, as the XDG
    Base Directory Specification 0.8 wants it, and is told once.
    """
    named = os.environ.get("XDG_CACHE_HOME") or ""
    if (base := Path(named)).is_absolute():
        return base
    try:
        home = Path.home() / ".cache"
    except RuntimeError:
        home = None
    if named:
        _tell_of_relative(named, home)
    return home


@cache
def _tell_of_relative(named: str, instead: Path | None) -> None:
    import logging  # noqa: PLC0415 - slow to import

    logging.getLogger("prefect.oci").warning(
        "XDG_CACHE_HOME is %r, a relative path, and counts as unset: the cache is in %s. Write it with "
        "its leading slash", named, instead or "a temporary directory",
    )  # fmt: skip


def size_limit(variable: str, default: int) -> int:
    """Return how many bytes something of a user's may have, as a variable says, such as "20GiB" or "500MB".

    Raises:
        SettingError: the variable is no size.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    match = _SIZE.fullmatch(text)
    if match is None:
        raise SettingError(
            f"{variable} is {text!r}, which is no size: write one such as 20GiB or 500MB"
        )
    number, unit, binary = match.groups()
    power = " KMGT".index(unit.upper()) if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def make_private(path: Path) -> list[Path]:
    """Make a directory and its missing parents, for this user alone, whatever the umask is.

    Returns:
        Those that it has made, outer ones first.
    """
    missing, made = [], []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        try:
            each.mkdir(mode=0o700)
        except FileExistsError:  # somebody else who starts just now
            continue
        each.chmod(0o700)
        made.append(each)
    return made


def require_private(directory: Path) -> None:
    """Refuse a directory that others own or may write, or may put another one in the place of.

    Raises:
        SettingError: says which, and how to mend it.
    """
    real = directory.resolve()
    status = real.stat()
    if status.st_uid != os.geteuid():
        raise SettingError(
            f"The cache directory {directory} belongs to {_user(status.st_uid)}, and what is in it would be "
            "believed. Delete it, or name another by XDG_CACHE_HOME"
        )
    if _others_write(status):
        raise SettingError(
            f"The cache directory {directory} may be written by others, and what is in it "
            f"would be believed. Delete it, or, if you trust what it holds: chmod go-w {real}"
        )
    for parent in real.parents:
        status = parent.stat()
        # In a sticky directory, such as /tmp, nobody renames what is another's.
        if _others_write(status) and not status.st_mode & stat.S_ISVTX:
            raise SettingError(
                f"Others may write {parent}, and so put another directory in the place of the cache "
                f"{directory}: chmod go-w {parent}, or name another place by XDG_CACHE_HOME"
            )


def _others_write(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_own_group(status.st_gid)


def _is_own_group(gid: int) -> bool:
    """Tell whether a group is this user's alone, as many systems make one for each user."""
    if gid == 0 and os.geteuid() == 0:
        return True
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and not group.gr_mem


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"

"""A disk that is full, told with the directory that is on it and what can be done."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.errors import DiskFullError

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = (errno.ENOSPC, errno.EDQUOT)
OWN_CACHE = "free some, as with `prefect cache --clear`, or name another place by XDG_CACHE_HOME"
TEMPORARY = "free some, or name another place by TMPDIR"


@contextmanager
def told_if_full(what: str, fix: str) -> Iterator[None]:
    """Say in the error of a full disk what is on it: by itself it may name nothing.

    Raises:
        DiskFullError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise no_space(what, fix) from error
        raise


def no_space(what: str, fix: str) -> DiskFullError:
    """Return the error for a directory, or what has one, whose disk is full."""
    return DiskFullError(f"There is no space left for {what}: {fix}")

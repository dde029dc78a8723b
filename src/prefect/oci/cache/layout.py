"""Where in the directory of a store what is, and how locks on it are held. Quick to import: runs need it.

<directory>/v1/blobs/<sha256>   bytes, named by their digest
               facts/<sha256>   JSON, named by the digest of its key, with a checksum
               locks/<sha256>   there while somebody makes what has that key
               directories/<sha256, its first half>/   kept as wholes, see `directories`
               mount/           empty: processes mount on it in namespaces of their own
               work/<name>/     of a process at work, whose `lock` it holds as long as it lives
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = "v1"  # of what the files in the directory mean
PARTS = ("blobs", "facts", "locks", "directories", "mount", "work")
BLOBS, FACTS, LOCKS, DIRECTORIES, MOUNT, WORK = PARTS
LOCK = "lock"
ENVIRONMENT = "environment"  # the kind of those directories
DEFAULT_LIMIT = 10 << 30  # bytes
# Touching a file at every use would be a write to disk for nothing.
TOUCH_AFTER = 60.0  # seconds


def name_of(key: str) -> str:
    """Return the name of the file for a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def locked(path: Path, *, create: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold a file alone; yield False if it is not there or, unwaited, is locked.

    The lock ends with the process at the latest, however that ends.
    """
    try:
        # For writing, because file systems of networks give no other an exclusive lock.
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        yield False
        return
    try:
        mine = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            mine = False
        # Who had it before may have deleted it, and then a lock on it excludes nobody.
        yield mine and is_at(handle, path)
    finally:
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Tell whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False

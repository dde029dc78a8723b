"""Small facts of the store, by key. Quick to import: runs need it."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prefect.oci.cache.layout import FACTS, TOUCH_AFTER, name_of

if TYPE_CHECKING:
    from pathlib import Path


def recall(root: Path, key: str, *, max_age: float | None = None) -> Any:
    """Return what was remembered for a key; None if nothing was, or it is altered.

    Args:
        root: directory of the store, with its version.
        max_age: in seconds since it was remembered, past which it is not recalled.
    """
    path = root / FACTS / name_of(key)
    try:
        checksum, _, body = path.read_bytes().partition(b"\n")
        record = json.loads(body)
        if checksum != _checksum(body) or record["key"] != key:
            return None
        now = time.time()
        # A time to come means that the clock was set back, and then the age is unknown.
        if max_age is not None and not 0 <= now - record["time"] <= max_age:
            return None
        if now - path.stat().st_mtime > TOUCH_AFTER:
            os.utime(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record["value"]


def remember(root: Path, scratch: Path, key: str, value: Any) -> None:
    """Keep a small JSON value; one that cannot be written is forgotten, as in any cache.

    Args:
        root: directory of the store, with its version.
        scratch: a directory of this process's own, on the same file system.
    """
    told = {"key": key, "value": value, "time": time.time()}
    body = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    name = name_of(key)
    with suppress(OSError):
        # Its checksum stands for waiting until it is on the disk: a torn one is not believed.
        part = scratch / f"{name}-{threading.get_ident()}"
        part.write_bytes(_checksum(body) + b"\n" + body)
        part.replace(root / FACTS / name)


def _checksum(body: bytes) -> bytes:
    return f"sha256:{hashlib.sha256(body).hexdigest()}".encode()

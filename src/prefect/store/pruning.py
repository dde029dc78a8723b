"""Keeps a store from growing: removes what was not used for longest, and nothing that a run may need still."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import SettingError, StoreError
from prefect.store.files import RECENT, LocalFiles
from prefect.store.store import default_store
from prefect.user_cache import size_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.store.store import Store

SIZE_VARIABLE = "PREFECT_STORE_SIZE"
DEFAULT_LIMIT = 10 << 30
_DAY = 86_400.0
_WEEK = 7 * _DAY
_SELDOM = 3600.0
"""Seconds between two looks at how large the user's own store is."""
_MANY = 1000
"""Packs of which it is worth a run's while to put them together: each process has to look into all."""


def prune(store: Store, *, age: float | None, most: int | None) -> tuple[int, int]:
    """Remove records and results that were not used for longest, and put together what lies in many small packs.

    What was used since a run began that goes on, its record among it, stays.

    Args:
        age: seconds after which what was not used is removed; None removes nothing for its age.
        most: bytes that results may have together; None is no limit.

    Returns:
        How many files were removed, and how many bytes they had.

    Raises:
        StoreError: the store cannot be read or changed.
    """
    now = time.time()
    needed = _needed_since(store, now)
    removed = freed = 0
    kept: list[tuple[float, int, str]] = []
    for below in ("runs", "packs", "results", "values", "parts"):
        for path, size, used in store.files.listed(below):
            # What is being written, and was left by who was killed meanwhile, is of no use after a day.
            limit = _DAY if below == "parts" else age
            if below == "packs" and is_locked(Path(store.where, path)):
                kept.append((now + _DAY, size, path))  # of a process that lives
            elif limit is not None and now - used > limit and used < needed:
                store.files.remove(path)
                removed, freed = removed + 1, freed + size
            elif below != "parts":
                kept.append((used, size, path))
    if most is not None:
        more = _shrink(store, sorted(kept), most, min(needed, now))
        removed, freed = removed + len(more), freed + sum(more)
    if isinstance(store.files, LocalFiles):
        store.files.merge_packs()
    return removed, freed


def _shrink(
    store: Store, kept: list[tuple[float, int, str]], most: int, needed: float
) -> list[int]:
    """Remove results until they have so many bytes together; return what each had that was removed.

    Args:
        kept: when each was last used, its bytes and its path, in that order.
        needed: since when something was used that stays.
    """
    total = sum(size for _, size, _ in kept)
    removed: list[int] = []
    for used, size, path in kept:
        if total <= most:
            break
        if not path.startswith("runs/") and used < needed:
            store.files.remove(path)
            total -= size
            removed.append(size)
    return removed


def bound(store: Store) -> None:
    """Put together packs if they are many, and keep the user's own store below `PREFECT_STORE_SIZE`, 10 GiB by default.

    The latter is looked at once in an hour.
    """
    if isinstance(store.files, LocalFiles):
        with suppress(StoreError):  # whoever may not change a store is not bothered with it
            store.files.merge_packs(many=_MANY)
    stamp = Path(store.where, "bounded")
    try:
        if store.where != default_store() or time.time() - stamp.stat().st_mtime < _SELDOM:
            return
    except StoreError:  # whoever has no home directory has no store of their own
        return
    except OSError:
        if not stamp.parent.is_dir():
            return
    try:
        stamp.touch(0o600)
        prune(store, age=None, most=size_limit(SIZE_VARIABLE, DEFAULT_LIMIT))
    except (OSError, StoreError, SettingError) as error:
        logging.getLogger("prefect").warning("%s is not kept small: %s", store.where, error)


@contextmanager
def going_on(record: Path) -> Iterator[None]:
    """Have others see that a run goes on, for as long as this process lives: its record is locked."""
    handle = None
    try:
        with suppress(OSError):  # on a disk that knows no locks
            handle = os.open(record, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_EX)  # `is_locked` has it for a moment
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _needed_since(store: Store, now: float) -> float:
    """Return the time since when something was used that a run which goes on may need."""
    is_local = isinstance(store.files, LocalFiles)
    since = now + _DAY
    for path, _, changed in store.files.listed("runs"):
        if path.endswith(".jsonl") and (is_local or now - changed < _WEEK):
            goes_on = is_locked(Path(store.where, path)) if is_local else True
            began = _began(store, path) if goes_on else None
            if began is not None:
                since = min(since, began - RECENT)
    return since


def is_locked(path: Path) -> bool:
    """Tell whether a process that writes a file lives."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def _began(store: Store, path: str) -> float | None:
    """Return when a run began of whose end its record tells nothing."""
    lines = bytes(store.files.read(path) or b"").splitlines()
    with suppress(*_UNREADABLE):  # a last line that a full disk has cut off is no end
        if json.loads(lines[-1])["event"] == "flow":
            return None
    with suppress(*_UNREADABLE):
        return float(json.loads(lines[0])["time"])
    return None


_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError)
"""What a line raises that is none of a record's."""

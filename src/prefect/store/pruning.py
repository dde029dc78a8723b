"""Keeps a store from growing: removes what was not used for longest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect.store.store import Store

_DAY = 86_400.0


def prune(store: Store, *, age: float | None, most: int | None) -> tuple[int, int]:
    """Remove records and results that were not used for longest.

    Args:
        age: seconds after which what was not used is removed; None removes nothing for its age.
        most: bytes that results may have together; None is no limit.

    Returns:
        How many files were removed, and how many bytes they had.

    Raises:
        StoreError: the store cannot be read or changed.
    """
    now = time.time()
    removed = freed = 0
    kept: list[tuple[float, int, str]] = []
    for below in ("runs", "results", "values", "parts"):
        for path, size, used in store.files.listed(below):
            # What is being written, and was left by who was killed meanwhile, is of no use after a day.
            limit = _DAY if below == "parts" else age
            if limit is not None and now - used > limit:
                store.files.remove(path)
                removed, freed = removed + 1, freed + size
            elif below != "parts":
                kept.append((used, size, path))
    if most is not None:
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= most:
                break
            if not path.startswith("runs/"):
                store.files.remove(path)
                total, removed, freed = total - size, removed + 1, freed + size
    return removed, freed

"""What a run keeps: which results it stores, which it takes from a store, and the record that it leaves.

`Flow.run(store=...)` passes here on its way to the engine, which asks a `Keeper` before each task. Knows
stores and the engine; what runs flows in other places knows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.core import check
from prefect.core.kept import LAST, Kept

if TYPE_CHECKING:
    import os


def kept_of(
    store: str | os.PathLike[str] | None, resume: str | bool | None, place: str = "here"
) -> Kept | None:
    """Return what is to be kept of a run, as whoever starts it gives it; None is nothing.

    Args:
        store: a directory or a URL; None is the user's own, if there is something to go on with.
        resume: the name of a run, or True for the last one.
        place: where it runs.

    Raises:
        TypeError: one is of the wrong type.
        ValueError: one is empty.
        StoreError: there can be no such store.
    """
    check.resume(resume)
    if store is None and not resume:
        return None
    from prefect.store.store import open_store  # noqa: PLC0415 - seldom asked for

    found = open_store(None if store is None else check.path("store", store))
    resumed = LAST if resume is True else resume or None
    return Kept(found.where, resumed, place=place, key_id=found.key_id)

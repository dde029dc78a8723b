"""Holds off the garbage collector while a run makes many objects that all stay."""

from __future__ import annotations

import gc
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect no garbage within the block, in which no code of users runs.

    Python looks through all objects again whenever there are a quarter more. Where a hundred thousand
    are made at once, and none of them can go yet, that takes longer than to make them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

"""Holds off the garbage collector, while objects are made that all stay or nothing may be destroyed."""

from __future__ import annotations

import gc
from _thread import allocate_lock
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_changing = allocate_lock()
_blocks = 0
_was_enabled = False


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect no garbage within the block, in which no code of users runs.

    Python looks through all objects again whenever there are a quarter more. Where a hundred thousand
    are made at once, and none of them can go yet, that takes longer than to make them. Blocks of several
    threads may overlap: the last that ends has the collector go on.
    """
    global _blocks, _was_enabled  # noqa: PLW0603  # the collector is the process's
    within = False
    try:
        with _changing:
            if not _blocks:
                _was_enabled = gc.isenabled()
            _blocks += 1
            within = True
            gc.disable()
        yield
    finally:
        if within:
            with _changing:
                _blocks -= 1
                if not _blocks and _was_enabled:
                    gc.enable()

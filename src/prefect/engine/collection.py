"""Holds off the garbage collector, while objects are made that all stay or nothing may be destroyed."""

from __future__ import annotations

import gc
from _thread import allocate_lock

_MANY = 1000
_SOME = 20_000
_SHARE = 8
"""All are looked through again when more than both `_SOME` and this share (1/8) of them were told to stay."""
_changing = allocate_lock()
_blocks = 0
_was_enabled = False
_told = 0  # to stay, since all were looked through
_total = 0  # what there was then


_FROZEN_BY_PYTHON = 1000
"""Python 3.12 itself has some hundreds out of collection when it starts."""


class no_collection:  # noqa: N801  # reads as a function; contextlib's would import five modules
    """Collect no garbage within the block, in which no code of users runs.

    Python looks through all objects again whenever there are a quarter more. Where a hundred thousand
    are made at once, and none of them can go yet, that takes longer than to make them. Blocks of several
    threads may overlap: the last that ends has the collector go on.

    What was made would still be looked through twice before Python reckons with its staying. Of many
    objects that is known: they are told to stay, after what is young has been collected before them.
    Python takes no account of them then: `collect_what_stayed` does.

    Args:
        many: about how many objects are made that all stay.
    """

    __slots__ = ("_count", "_many", "_within")

    def __init__(self, many: int = 0) -> None:
        self._count = many
        self._many = many >= _MANY

    def __enter__(self) -> None:
        global _blocks, _was_enabled  # noqa: PLW0603  # the collector is the process's
        self._within = False
        try:
            with _changing:
                if not _blocks:
                    _was_enabled = gc.isenabled()
                _blocks += 1
                self._within = True
                gc.disable()
            if self._many:
                self._many = _was_enabled and not _froze_somebody()
                if self._many:
                    gc.collect(1)
        except BaseException:  # Ctrl-C
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        global _blocks, _told  # noqa: PLW0603  # likewise
        if not self._within:
            return
        if self._many:  # all go to the oldest generation, without being looked at
            _told += self._count
            try:
                gc.freeze()
            finally:  # also after Ctrl-C
                gc.unfreeze()
        with _changing:
            _blocks -= 1
            if not _blocks and _was_enabled:
                gc.enable()


def _froze_somebody() -> bool:
    """Tell whether somebody has taken objects out of collection, who would have all of a process: tens of thousands."""
    return gc.get_freeze_count() > _FROZEN_BY_PYTHON


def have_stay(many: int) -> None:
    """Have what is young stay without being looked at: mostly tasks that are going to be awaited.

    Args:
        many: how many these are.
    """
    global _told  # noqa: PLW0603  # likewise
    if not gc.isenabled() or _froze_somebody():
        return
    _told += many
    try:
        gc.freeze()
    finally:  # also after Ctrl-C
        gc.unfreeze()
    collect_what_stayed()  # or what becomes garbage in between would pile up


def collect_what_stayed() -> None:
    """Collect garbage among all objects, if many were told to stay since that was last done.

    Python would not: it counts what it moves itself. What runs leave in cycles, such as failures with their
    tracebacks, would pile up in a process that runs flow after flow.
    """
    global _told, _total  # noqa: PLW0603  # likewise
    if _told <= max(_SOME, _total // _SHARE) or not gc.isenabled():
        return
    _told = 0
    gc.collect()
    if not _froze_somebody():
        try:
            gc.freeze()
            _total = gc.get_freeze_count()
        finally:  # also after Ctrl-C
            gc.unfreeze()

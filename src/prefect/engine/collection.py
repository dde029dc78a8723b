"""Holds off the garbage collector, while objects are made that all stay or nothing may be destroyed."""

from __future__ import annotations

import gc
from _thread import allocate_lock

_changing = allocate_lock()
_blocks = 0
_was_enabled = False


class no_collection:  # noqa: N801  # reads as a function; contextlib's would import five modules
    """Collect no garbage within the block, in which no code of users runs.

    Python looks through all objects again whenever there are a quarter more. Where a hundred thousand
    are made at once, and none of them can go yet, that takes longer than to make them. Blocks of several
    threads may overlap: the last that ends has the collector go on.
    """

    __slots__ = ("_within",)

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
        except BaseException:  # Ctrl-C
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        global _blocks  # noqa: PLW0603  # likewise
        if not self._within:
            return
        with _changing:
            _blocks -= 1
            if not _blocks and _was_enabled:
                gc.enable()

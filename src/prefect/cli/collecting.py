"""How often a command looks for garbage: seldom, as what it imports and packages all stays.

Python's own measure has it look twenty times, which is a twentieth of a command's time. Garbage of a flow that is
loaded goes all the same, later.
"""

from __future__ import annotations

import gc

_USUAL = gc.get_threshold()
_SELDOM = 50_000  # objects more than there were; Python's own measure is 700 or 2,000


def collect_seldom() -> None:
    """Look seldom, until a flow runs in this process."""
    gc.set_threshold(_SELDOM, *_USUAL[1:])


def collect_as_usual() -> None:
    """Look as often as Python does by itself, but not at what is there by now."""
    gc.freeze()
    gc.set_threshold(*_USUAL)

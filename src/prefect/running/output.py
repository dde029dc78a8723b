"""What a run's process writes, taken line by line."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ThreadLines:
    """Puts together lines of what several threads write in pieces."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell
        self._open: dict[int, str] = {}  # the unfinished line of each thread

    def write(self, text: str) -> None:
        """Take a piece of text; tell each line that it ends."""
        thread = threading.get_ident()
        *lines, rest = (self._open.pop(thread, "") + text).split("\n")
        for line in lines:
            self._tell(line)
        if rest:
            self._open[thread] = rest

    def end(self) -> None:
        """Tell what is left: lines without an end."""
        while self._open:
            self._tell(self._open.popitem()[1])

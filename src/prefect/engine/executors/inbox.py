"""What other threads tell the one that runs a flow."""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Inbox:
    """A queue for one thread that takes.

    `queue.SimpleQueue` will not do: where the handler of a signal takes longer than was left of the time to wait,
    its `get` waits without an end (what it reckons is left is negative then, which means none).
    """

    __slots__ = ("_bell", "_items")

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._bell = allocate_lock()  # locked while there is nothing new
        self._bell.acquire()

    def put(self, item: Any) -> None:
        """Add an item, which is not None; it never waits, and any thread may call it."""
        self._items.append(item)
        if self._bell.locked():
            try:  # noqa: SIM105 - dearer, and this is called for each task
                self._bell.release()
            except RuntimeError:  # another thread has just done so
                pass

    def get(self, timeout: float = 0) -> Any:
        """Take the next item; None where none came in so many seconds."""
        items, bell = self._items, self._bell
        while not items:
            if not bell.acquire(timeout=timeout):
                return None
        return items.popleft()

    def empty(self) -> bool:
        """Tell whether there is nothing to be taken."""
        return not self._items

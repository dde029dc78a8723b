"""Long work, step by step, for whoever watches; where nobody does, it costs nothing and tells nothing.

Who does the work knows neither terminals nor commands. It says what it is at, and how far:

    with step("Pushing to ghcr.io/team/etl:1") as one:
        one.expect(blob.size)
        for chunk in one.counting(chunks):
            ...
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol, Self

    class Watcher(Protocol):
        """Hears of each step, in the thread that does it; several at a time."""

        def begin(self, one: Step, /) -> None:
            """Take a step that begins; it changes until it ends."""

        def end(self, one: Step, /) -> None:
            """Take a step that has ended."""


_watcher: Watcher | None = None


class Step:
    """A piece of work that takes a while: a context, within which it goes on.

    Args:
        text: what is done, such as "Locking the dependencies".
        total: how much of it there is, if that is known yet.
        unit: of what: "bytes", or a word such as "files".
        say: gets the text as a line when it begins, for who reads lines.

    Attributes:
        done: how much is done.
        total: how much there is; 0 where that is not known.
        began: when, in seconds of `time.monotonic`.
        seconds: how long it took; None as long as it goes on.
        failed: whether it ended by an exception.
    """

    __slots__ = (
        "_lock",
        "_say",
        "_told",
        "began",
        "done",
        "failed",
        "seconds",
        "text",
        "total",
        "unit",
    )

    def __init__(
        self,
        text: str,
        total: int = 0,
        *,
        unit: str = "bytes",
        say: Callable[[str], object] | None = None,
    ) -> None:
        self.text = text
        self.total = total
        self.unit = unit
        self.done = 0
        self.began = time.monotonic()
        self.seconds: float | None = None
        self.failed = False
        self._lock = threading.Lock()
        self._say = say
        self._told = _watcher

    def __enter__(self) -> Self:
        if self._say is not None:
            self._say(self.text)
        if self._told is not None:
            self._told.begin(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self.seconds = time.monotonic() - self.began
        self.failed = kind is not None
        if self._told is not None:
            self._told.end(self)

    def add(self, amount: int) -> None:
        """Say that more of it is done; less, where something has to be done again."""
        with self._lock:
            self.done += amount

    def expect(self, amount: int) -> None:
        """Say that there is more of it than was known."""
        with self._lock:
            self.total += amount

    def counting(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield chunks, and count their bytes once they are taken."""
        for chunk in chunks:
            yield chunk
            self.add(len(chunk))


step = Step
"""As it reads in a `with` statement."""


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Have all steps of this process told, in whatever thread, while the context lasts."""
    global _watcher  # noqa: PLW0603  # one for all threads of a build
    before, _watcher = _watcher, watcher
    try:
        yield
    finally:
        _watcher = before

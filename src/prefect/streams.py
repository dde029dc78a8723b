"""Standard output and error while a run does something with what is written to them.

`print` uses `sys.stdout` without holding on to it: an object in its place that goes away while
another thread prints takes the interpreter with it (https://github.com/python/cpython/issues/130163).
So there is one stand-in for each stream, shared by all who need one, and it lives as long as what
it stands for. Whether it is in place or not, printing to it is safe.
"""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, TextIO, TypeAlias

    Take: TypeAlias = Callable[[str], object]

printed: ContextVar[Take | None] = ContextVar("prefect.streams.printed", default=None)
"""What takes the text that this context, a task for example, writes to standard output."""

_lock = threading.Lock()
_kept: list[StandIn] = []  # those that the stream itself cannot keep


class StandIn:
    """In place of `sys.stdout` or `sys.stderr`: passes on what is written, if nobody takes it.

    Attributes:
        stream: what it stands for.
        take: takes all text, in the place of the stream; None for nobody.
        change: what text goes through on its way to either; None for nothing.
        lost: called where the stream cannot be written, in the place of an error; None for nobody.
    """

    def __init__(self, name: Literal["stdout", "stderr"], stream: TextIO) -> None:
        self.stream = stream
        self.take: Take | None = None
        self.change: Callable[[str], str] | None = None
        self.lost: Callable[[OSError], object] | None = None
        self._users = 0
        self._name = name

    def write(self, text: str) -> int:
        """Write text to where it belongs; return its length."""
        take = (printed.get() if self._name == "stdout" else None) or self.take
        change = self.change
        try:
            (take or self.stream.write)(text if change is None else change(text))
        except OSError as error:
            if self.lost is None:
                raise
            self.lost(error)
        return len(text)

    def flush(self) -> None:
        """Have what is written be where it belongs."""
        try:
            self.stream.flush()
        except OSError as error:
            if self.lost is None:
                raise
            self.lost(error)

    def writelines(self, texts: Iterable[str]) -> None:
        """Write one text after the other."""
        for text in texts:
            self.write(text)

    def close(self) -> None:
        """Close nothing: others write here, too."""
        self.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __reduce__(self) -> tuple[Any, ...]:
        # As cloudpickle does with the stream itself: wherever it is loaded, it is that place's.
        return _stream, (self._name,)


class stand_in:  # noqa: N801  # reads as a function
    """Have the stand-in of a standard stream in place, for as long as the context lasts.

    Several may, in threads or within each other. The last one puts back the stream, unless
    somebody else has put something in its place meanwhile. A context that is never left, in a
    program that ends with its run, is no mistake: the interpreter's end does not leave it either.
    """

    def __init__(self, name: Literal["stdout", "stderr"]) -> None:
        self._name = name
        self._used: StandIn | None = None

    def __enter__(self) -> StandIn:
        with _lock:
            stream = getattr(sys, self._name)
            used = stream if isinstance(stream, StandIn) else _stand_in_of(self._name, stream)
            used._users += 1  # noqa: SLF001  # of this module
            setattr(sys, self._name, used)
        self._used = used
        return used

    def __exit__(self, *exc: object) -> None:
        used = self._used
        assert used is not None  # noqa: S101  # for the type checker
        with _lock:
            used._users -= 1  # noqa: SLF001
            if not used._users and getattr(sys, self._name) is used:  # noqa: SLF001
                setattr(sys, self._name, used.stream)


def _stream(name: str) -> Any:
    return getattr(sys, name)


def _stand_in_of(name: Literal["stdout", "stderr"], stream: TextIO) -> StandIn:
    found = getattr(stream, "_prefect_stand_in", None)
    # Wrappers pass on the attributes of what they wrap.
    if isinstance(found, StandIn) and found.stream is stream:
        return found
    made = StandIn(name, stream)
    try:
        stream._prefect_stand_in = made  # type: ignore[attr-defined]  # noqa: SLF001
    except AttributeError:
        _kept.append(made)
    return made

"""Lines above a live view, shown some times a second: whoever writes them does not wait for it."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from rich.ansi import AnsiDecoder
from rich.console import Group
from rich.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.live import Live
    from rich.text import Text

_SECONDS = 0.1
# A terminal that is stopped, or slower than what is written, is waited for, as `cat` waits for it.
_MOST_WAITING = 50_000
_COMMANDS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class Scroll:
    """Shows lines above a live view, in order, a batch at a time.

    A context: on its way out it shows all that is left.

    Args:
        console: the terminal.
        live: the view below the lines, which does not refresh itself.
    """

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live
        self._decoder = AnsiDecoder()
        self._waiting: deque[RenderableType | str] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._ending = False
        self._thread = threading.Thread(
            target=self._show_until_told, name="prefect-display", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        with suppress(OSError):
            self._show()

    def add(self, line: RenderableType | str) -> None:
        """Show a line soon: a str as it is, with the colours that it has."""
        with self._changed:
            while len(self._waiting) >= _MOST_WAITING and self._is_showing():
                self._changed.wait(_SECONDS)
            self._waiting.append(line)
        if not self._is_showing():
            self._show()

    def _is_showing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _show_until_told(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(_SECONDS)
                if self._ending:
                    return
            try:
                if not self._show():
                    self._live.refresh()
            except OSError:  # the terminal is gone; the run goes on
                self._waiting.clear()

    def _show(self) -> bool:
        with self._changed:
            lines, self._waiting = self._waiting, deque()
            self._changed.notify_all()
        if lines:
            # One drawing of the view for all of them.
            self._console.print(Group(*self._renderables(lines)), soft_wrap=True)
        return bool(lines)

    def _renderables(self, lines: Iterable[RenderableType | str]) -> Iterator[RenderableType]:
        """Yield what is to be printed: nearly all is plain text, which rich need not look at."""
        plain: list[str] = []
        for line in lines:
            if isinstance(line, str) and line.replace("\t", "").isprintable():
                plain.append(line)
                continue
            if plain:
                yield _Plain(plain)
                plain = []
            yield (
                commanding_nothing(self._decoder.decode_line(line))
                if isinstance(line, str)
                else line
            )
        if plain:
            yield _Plain(plain)


def commanding_nothing(text: Text) -> Text:
    """Return a text in which something stands for each character that rich has left and a terminal obeys."""
    text.plain = text.plain.translate(_COMMANDS)
    return text


class _Plain:
    """Lines of printable text, which need no more than to be written."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __rich_console__(self, _: Console, __: ConsoleOptions) -> RenderResult:
        yield Segment("\n".join(self._lines) + "\n")

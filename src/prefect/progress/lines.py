"""A few lines at the end of a terminal, drawn anew some times a second below what is written there."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import ExitStack, suppress
from contextvars import copy_context
from unicodedata import combining, east_asian_width

from prefect.printable import printable
from prefect.streams import StandIn, stand_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TextIO

_SECONDS = 0.1
_LEAST_WIDTH = 10


class Ticker:
    """Calls something again and again, in a thread, for as long as the context lasts.

    Args:
        call: must not raise.
        seconds: between two calls.
    """

    def __init__(self, call: Callable[[], object], seconds: float) -> None:
        self._call = call
        self._seconds = seconds
        self._ended = threading.Event()
        # What this context knows, such as a notebook's cell, that thread is to know.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._run,), name="prefect-progress", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self._call()


class Lines:
    """The lines, for as long as the context lasts: then they are gone, and the terminal is as it was.

    The cursor stands before them, so that whoever writes without our knowledge writes over them, and they are
    below that the next time. Nothing is hidden or changed that a killed process would leave so.

    Args:
        stream: a terminal.
        draw: called in a thread with how many columns there are; returns the lines.
    """

    def __init__(self, stream: TextIO, draw: Callable[[int], list[str]]) -> None:
        self._stream = stream
        self._draw = draw
        self._lock = threading.RLock()
        self._drawn = False
        self._at_margin = True
        self._process = os.getpid()
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if _is_terminal(stream) and getattr(stream, "take", None) is None:
                standing = self._entered.enter_context(stand_in(name))
                standing.take = self._taking(standing)
                self._entered.callback(setattr, standing, "take", None)
        self._entered.callback(self.clear)
        self._entered.enter_context(Ticker(self.refresh, _SECONDS))
        return self

    def __exit__(self, *exc: object) -> None:
        self._entered.close()

    def _taking(self, standing: StandIn) -> Callable[[str], object]:
        def take(text: str) -> None:
            # In a fork of it nobody lets go of the lock.
            if os.getpid() != self._process:
                standing.stream.write(text)
                return
            with self._lock:
                self.clear()
                standing.stream.write(text)
                standing.stream.flush()
                if text:
                    self._at_margin = text.endswith("\n")

        return take

    def write(self, line: str) -> None:
        """Write a line above them."""
        with self._lock:
            self.clear()
            self._put(line + "\n")

    def clear(self) -> None:
        """Remove the lines until they are drawn again."""
        with self._lock:
            if self._drawn:
                self._drawn = False
                self._put("\r\x1b[J")

    def refresh(self) -> None:
        """Draw the lines, unless somebody is in the middle of a line."""
        width = columns(self._stream) - 1
        lines = self._draw(width)
        with self._lock:
            if not self._at_margin:
                return
            self._drawn = True
            up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
            self._put("\r\x1b[J" + "\r\n".join(lines) + f"\r{up}")

    def _put(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal is gone, and what is shown goes on
            encoding = getattr(self._stream, "encoding", None) or "utf-8"
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()


def _is_terminal(stream: object) -> bool:
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


def draws_on(stream: object) -> bool:
    """Tell whether lines can be drawn there: a terminal that can, and nobody has what is written there."""
    free = getattr(stream, "take", None) is None
    return free and _is_terminal(stream) and os.environ.get("TERM") != "dumb"


def columns(stream: TextIO) -> int:
    """Return how wide a terminal is, in characters."""
    with suppress(OSError, ValueError):
        if (found := os.get_terminal_size(stream.fileno()).columns) > 0:
            return max(found, _LEAST_WIDTH)
    return 80


def fitted(text: str, width: int) -> str:
    """Return text as one line that is no wider, whatever it is."""
    text = printable(text)
    if text.isascii():
        return text if len(text) <= width else f"{text[: width - 1]}…"
    if sum(map(_width, text)) <= width:
        return text
    kept, used = "", 1
    for char in text:
        used += _width(char)
        if used > width:
            break
        kept += char
    return f"{kept}…"


def padded(text: str, width: int) -> str:
    """Return text as one line that is exactly as wide."""
    text = fitted(text, width)
    return text + " " * (width - sum(map(_width, text)))


def _width(char: str) -> int:
    if combining(char):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def bar(share: float, width: int, *, colour: bool) -> str:
    """Return a bar of so many characters.

    Args:
        share: from 0 to 1.
        width: in characters.
        colour: whether the terminal is to be told of colours.
    """
    full = min(width, max(0, round(share * width)))
    done, rest = "━" * full, "─" * (width - full)
    return f"\x1b[36m{done}\x1b[0m\x1b[2m{rest}\x1b[0m" if colour else done + rest


def has_colour() -> bool:
    """Tell whether colours are wanted, as https://no-color.org has it."""
    return not os.environ.get("NO_COLOR")


def spinner() -> str:
    """Return what turns while something goes on."""
    return "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(time.monotonic() * 10) % 10]

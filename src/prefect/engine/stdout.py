"""Sends what a task prints to its logger, and nothing that other threads print."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from typing import Any, TextIO

_lines: ContextVar[_Lines | None] = ContextVar("prefect.stdout", default=None)
_lock = threading.Lock()
_users = 0


class _Lines:
    """Logs whole lines."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._rest = ""

    def write(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        # A handler may itself write to sys.stdout, and must not be logged for that.
        token = _lines.set(None)
        try:
            for line in lines:
                self._logger.info("%s", line)
        finally:
            _lines.reset(token)

    def close(self) -> None:
        if self._rest:
            self.write("\n")


class _Switch:
    """In place of sys.stdout: writes to the logger of the task that prints, if it has one."""

    def __init__(self, stdout: TextIO) -> None:
        self.stdout = stdout

    def write(self, text: str) -> int:
        lines = _lines.get()
        if lines is None:
            return self.stdout.write(text)
        lines.write(text)
        return len(text)

    def writelines(self, texts: Iterator[str]) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stdout, name)


@contextmanager
def stdout_logged(logger: logging.Logger) -> Iterator[None]:
    """Log each line printed within the block, and in what it calls, at level INFO."""
    lines = _Lines(logger)
    token = _lines.set(lines)
    _install()
    try:
        yield
    finally:
        _uninstall()
        _lines.reset(token)
        lines.close()


def _install() -> None:
    global _users  # noqa: PLW0603  # there is one sys.stdout
    with _lock:
        _users += 1
        if not isinstance(sys.stdout, _Switch):
            sys.stdout = _Switch(sys.stdout)


def _uninstall() -> None:
    global _users  # noqa: PLW0603  # there is one sys.stdout
    with _lock:
        _users -= 1
        if not _users and isinstance(sys.stdout, _Switch):
            sys.stdout = sys.stdout.stdout

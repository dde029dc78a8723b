"""Loggers, under the names of classic Prefect."""

from __future__ import annotations

import logging

from prefect.core import check
from prefect.core.shown import show
from prefect.unsupported import refusing

__all__ = ["RedirectToLog", "get_logger"]


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger below that of this package.

    Args:
        name: below `prefect`; without one, `prefect` itself.
    """
    if name is None or name == "prefect":
        return logging.getLogger("prefect")
    show(f"prefect.{name}")
    return logging.getLogger(f"prefect.{name}")


class RedirectToLog:
    """A stream that logs what is written to it, at level INFO: for `contextlib.redirect_stdout`.

    Args:
        logger: by default `prefect.stdout`.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.stdout_logger = get_logger("stdout") if logger is None else logger

    def write(self, s: str) -> None:
        """Log a text, unless it is blank.

        Args:
            s: the text.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(s, str):
            raise check.wrong("What is written", "a str", s)
        if s.strip():
            self.stdout_logger.info("%s", s)

    def flush(self) -> None:
        """Have the logger's own handlers write what they hold back."""
        for handler in self.stdout_logger.handlers:
            handler.flush()


__getattr__ = refusing(__name__)

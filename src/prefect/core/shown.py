"""Shows what tasks log where nobody has configured logging, as in `python script.py`.

Lines of level INFO and above of tasks, and what those with `log_stdout` print, go to standard error then.
Whoever configures logging, before or after, decides alone; but a handler that is added to the logger `prefect`, or to one
below, gets these lines as well where nobody has set a level. The variables of classic Prefect count here:
PREFECT__LOGGING__LEVEL, __FORMAT, __DATEFMT, and __EXTRA_LOGGERS with the names of other libraries' loggers. The level
counts in the command, too.
"""

from __future__ import annotations

import logging
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

VARIABLE = "PREFECT__LOGGING__"
TASKS = "prefect.task"
_FORMAT = "[%(asctime)s] %(levelname)s - %(name)s | %(message)s"
_DATES = "%Y-%m-%d %H:%M:%S%z"


class _Shown(logging.StreamHandler["TextIO"]):
    """Writes to whatever standard error is then, unless somebody else shows the line."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        form, dates = (os.environ.get(VARIABLE + name) for name in ("FORMAT", "DATEFMT"))
        self.setFormatter(logging.Formatter(form or _FORMAT, dates or _DATES))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # it is settable there
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if not _is_configured():
            super().emit(record)


_handler: _Shown | None = None
_levels: dict[str, int] = {}
"""The loggers that have the handler, with the level that they were given."""


def show(*names: str) -> None:
    """Show what these loggers log, unless logging is configured.

    Args:
        *names: of loggers; those of tasks are shown with them.
    """
    global _handler  # noqa: PLW0603  # one for all
    if _is_configured():
        for name, level in _levels.items():
            logger = logging.getLogger(name)
            logger.removeHandler(_handler)  # type: ignore[arg-type]  # there is one
            if logger.level == level:
                logger.setLevel(logging.NOTSET)
        _levels.clear()
        if _has_handlers_alone():
            for name in (TASKS, *names):
                if not (logger := logging.getLogger(name)).level:
                    logger.setLevel(wanted_level())
                    _levels[name] = logger.level
        return
    if TASKS in _levels and _levels.keys() >= {*names}:
        return
    _handler = _handler or _Shown()
    for name in (TASKS, *names, *extra_loggers()):
        logger = logging.getLogger(name)
        if name not in _levels and not logger.handlers and not logger.level:
            logger.addHandler(_handler)
            logger.setLevel(wanted_level())
            _levels[name] = logger.level


def _has_handlers_alone() -> bool:
    """Tell whether somebody has added a handler for this package, and has said nothing of levels."""
    root, own = logging.getLogger(), logging.getLogger("prefect")
    is_default = root.level == logging.WARNING and not root.handlers and not own.level
    return is_default and bool(own.handlers or logging.getLogger(TASKS).handlers)


def extra_loggers() -> list[str]:
    """Return the names of other libraries' loggers that are to be shown, too."""
    text = os.environ.get(VARIABLE + "EXTRA_LOGGERS", "")
    return [name for part in text.strip("[]() ").split(",") if (name := part.strip("'\" "))]


def wanted_level() -> int:
    """Return the level from which on lines are shown that nobody else has a say in: INFO, or the variable's."""
    wanted = os.environ.get(VARIABLE + "LEVEL") or "INFO"
    levels = logging.getLevelNamesMapping()
    if wanted.upper() not in levels:
        import warnings  # noqa: PLC0415  # seldom needed

        warnings.warn(
            f"{VARIABLE}LEVEL is {wanted!r}, which is no level, and INFO counts: write one of {', '.join(levels)}",
            stacklevel=2,
        )
    return levels.get(wanted.upper(), logging.INFO)


def _is_configured() -> bool:
    """Tell whether somebody else has said what is logged."""
    above = logging.getLogger(), logging.getLogger("prefect")
    if any(logger.handlers for logger in above) or above[1].level:
        return True
    tasks = logging.getLogger(TASKS)
    others = [each for each in tasks.handlers if each is not _handler]
    return bool(others) or tasks.level != _levels.get(TASKS, logging.NOTSET)

"""What a run logs, to the logger `prefect`.

Nothing is configured here. So without any configuration failures reach stderr, with their
tracebacks, and the rest is silent, but for what tasks log (see `prefect.core.shown`).
"""

from __future__ import annotations

import os
import sys

from prefect.core.signals import Signal
from prefect.core.state import Failed, TriggerFailed
from prefect.core.tracebacks import user_frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from types import TracebackType
    from typing import Any

    from prefect.core.state import Retrying, State


def prepare() -> None:
    """Have shown what tasks log, before others are told which levels count."""
    if "logging" in sys.modules or os.environ.get("PREFECT__LOGGING__EXTRA_LOGGERS"):
        from prefect.core.shown import show  # noqa: PLC0415  # with logging

        show()


def is_verbose() -> bool:
    """Whether messages of level INFO go anywhere."""
    if "logging" not in sys.modules:  # then nobody has configured it; importing it takes a while
        return False
    return _logger().isEnabledFor(20)


def info(message: str, *args: Any) -> None:
    """Log what happens in the normal course of things."""
    if is_verbose():
        _logger().info(message, *args)


def warning(message: str, *args: Any) -> None:
    """Tell what is wrong perhaps, and ends nothing."""
    _logger().warning(message, *args)


def task_finished(label: str, state: State) -> None:
    """Log the end of a task; a failure with its traceback."""
    if isinstance(state, TriggerFailed):  # what it failed for has been logged
        info("task %r: TriggerFailed: %s", label, state.message)
    else:
        _finished("task", label, state)


def retrying(label: str, state: Retrying) -> None:
    """Log that a task will be tried again, and why."""
    _logger().warning(
        "task %r: Retrying at %s: %s%s",
        label,
        state.start_time.isoformat(timespec="seconds"),
        state.message,
        _traceback(state),
        exc_info=_error(state),
    )


def flow_finished(name: str, state: State) -> None:
    """Log the end of a flow."""
    if type(state).__name__ == "Cancelled":
        _logger().warning("flow %r: Cancelled: %s", name, state.message)
        return
    _finished("flow", name, state)


def _finished(what: str, name: str, state: State) -> None:
    kind = type(state).__name__
    if isinstance(state, Failed):
        text = _traceback(state)
        _logger().error(
            "%s %r: %s: %s%s", what, name, kind, state.message, text, exc_info=_error(state)
        )
    else:
        info("%s %r: %s: %s", what, name, kind, state.message)


def _logger() -> logging.Logger:
    import logging  # noqa: PLC0415  # slow to import

    return logging.getLogger("prefect")


def _error(state: State) -> tuple[type[BaseException], BaseException, TracebackType] | None:
    """Return an exception that has something to add to its text: frames of the user's code."""
    error = state.result
    if isinstance(error, Signal) or not isinstance(error, BaseException):
        return None  # a signal says what its author meant to say; where it was raised is no news
    frames = user_frames(error)
    return None if frames is None else (type(error), error, frames)


def _traceback(state: State) -> str:
    """Return the traceback that has come from another process, as the exception has lost it."""
    if _error(state) is not None or isinstance(state.result, Signal):
        return ""
    text = state.traceback
    return "\n" + text.rstrip("\n") if text and "Traceback" in text else ""

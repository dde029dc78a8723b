"""How a run tells what happens: log lines for people, or one JSON object a line for programs.

Events of the JSON form, each with `time` in seconds since 1970:

    {"event": "task", "task": slug, "name", "map_index": int or null, "state", "message",
     "children": of a mapped task}
    {"event": "log", "level", "logger", "message"}
    {"event": "flow", "flow", "state", "message", "failed": [{"task", "traceback"}]}
    {"event": "error", "type", "message"}
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, Self

from prefect.core.state import TriggerFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.core.state import State
    from prefect.engine.events import TaskEvent

ENGINE_LOGGER = "prefect"
TASK_LOGGERS = "prefect.task."


class Reporter(Protocol):
    """What a run is watched by, from before its flow is loaded until it has ended."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def on_state(self, event: TaskEvent) -> None:
        """Take one `TaskEvent` of the runner."""

    def finished(self, flow: str, state: State) -> None:
        """Take the flow's final state."""

    def refused(self, error: Exception) -> None:
        """Take the error that kept the flow from running."""


class LineReporter:
    """Log lines on standard output."""

    def __enter__(self) -> Self:
        self._handler = logging.StreamHandler(sys.stdout)
        self._handler.setFormatter(
            _LineFormatter("%(asctime)s  %(levelname)-7s  %(message)s", "%H:%M:%S")
        )
        listen(self._handler)
        return self

    def __exit__(self, *exc: object) -> None:
        forget(self._handler)

    def on_state(self, event: TaskEvent) -> None:
        """Do nothing: the runner's own log lines tell it."""

    def finished(self, flow: str, state: State) -> None:
        """Do nothing: the runner's last log line tells it."""

    def refused(self, error: Exception) -> None:
        """Write the error to standard error."""
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201


class _LineFormatter(logging.Formatter):
    """Puts a task's name before what it logs."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        if record.name.startswith(TASK_LOGGERS):
            record.message = f"{record.name.removeprefix(TASK_LOGGERS)}: {record.message}"
        return super().formatMessage(record)


class JsonReporter(logging.Handler):
    """One JSON object a line on standard output."""

    def __enter__(self) -> Self:
        listen(self)
        return self

    def __exit__(self, *exc: object) -> None:
        forget(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record, its traceback included."""
        if record.name == ENGINE_LOGGER and record.levelno <= logging.INFO:
            return  # the states tell it
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        _write("log", level=record.levelname, logger=record.name, message=message)

    def on_state(self, event: TaskEvent) -> None:
        """Write a change of a task's state."""
        _write("task", **describe_task(event))

    def finished(self, flow: str, state: State) -> None:
        """Write the outcome."""
        failed = [{"task": task, "traceback": text} for task, text in tracebacks(state)]
        name = type(state).__name__
        _write("flow", flow=flow, state=name, message=state.message, failed=failed)

    def refused(self, error: Exception) -> None:
        """Write the error."""
        _write("error", type=type(error).__name__, message=str(error))


def describe_task(event: TaskEvent) -> dict[str, Any]:
    """Return a change of a task's state as plain JSON values."""
    return {
        "task": event.task_slug,
        "name": event.task_name,
        "map_index": event.map_index,
        "state": type(event.state).__name__,
        "message": event.state.message,
        "children": event.children,
    }


def tracebacks(flow_state: State) -> Iterator[tuple[str, str]]:
    """Yield the name and the traceback of each task that raised, mapped children included."""
    states = flow_state.result if isinstance(flow_state.result, dict) else {}
    for task, state in states.items():
        for index, child in enumerate(getattr(state, "map_states", None) or [state]):
            # What was not run has nothing to tell but what failed before it.
            if child.is_failed() and not isinstance(child, TriggerFailed) and child.traceback:
                where = f"{task.name}[{index}]" if state.is_mapped() else task.name
                yield where, child.traceback


def _write(event: str, **values: Any) -> None:
    line = json.dumps({"event": event, "time": round(time.time(), 3), **values}, default=str)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def listen(handler: logging.Handler) -> None:
    """Send what tasks and the engine log to one handler alone."""
    logger = logging.getLogger(ENGINE_LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    # What the root logger would print a second time.
    logger.propagate = False


def forget(handler: logging.Handler) -> None:
    """Undo `listen`."""
    logger = logging.getLogger(ENGINE_LOGGER)
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True

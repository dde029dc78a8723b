"""What a worker tells in JSON lines, told again here: by Python's logging, standard streams, a callback."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

from prefect import errors
from prefect.core.state_kinds import KINDS
from prefect.engine.events import TaskEvent
from prefect.running.report import NO_EVENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.running.output import StreamName

_LEVELS = logging.getLevelNamesMapping()


class Replay:
    """Tells again what a run in another place tells, line by line.

    What tasks log goes to the loggers of the same names here, what they print to standard output and
    error, and changes of their states, without results, to a callback.

    Args:
        on_state: that callback, if there is one.
    """

    def __init__(self, on_state: Callable[[TaskEvent], None] | None) -> None:
        self._on_state = on_state
        self.refused: errors.PrefectError | None = None
        """The error that kept it from running, if there was one."""

    def __call__(self, line: str, stream: StreamName) -> None:
        """Tell a line of the worker's standard output or error."""
        try:
            event = json.loads(line)
            told = _ACTIONS[event["event"]](event)
        except NO_EVENT:  # before the worker reports, others write to its streams
            _write({"stream": stream, "text": line})
            return
        if isinstance(told, errors.PrefectError):
            self.refused = told
        elif isinstance(told, TaskEvent) and self._on_state is not None:
            self._on_state(told)


def _log(event: dict[str, Any]) -> None:
    level = _LEVELS.get(event["level"], logging.INFO)
    logging.getLogger(str(event["logger"])).log(level, "%s", event["message"])


def _write(event: dict[str, Any]) -> None:
    out = sys.stderr if event["stream"] == "stderr" else sys.stdout
    out.write(f"{event['text']}\n")


def _task_event(event: dict[str, Any]) -> TaskEvent:
    kind = KINDS[event["state"]]
    made = TaskEvent(
        str(event["task"]), str(event["name"]), event["map_index"], kind(event["message"]),
        event["children"],
    )  # fmt: skip
    made.time = float(event["time"])
    return made


def _error(event: dict[str, Any]) -> errors.PrefectError:
    kind = getattr(errors, str(event["type"]), None)
    if isinstance(kind, type) and issubclass(kind, errors.PrefectError):
        return kind(str(event["message"]))
    return errors.PlaceError(str(event["message"]))


_ACTIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "log": _log,
    "output": _write,
    "task": _task_event,
    "flow": lambda _: None,
    "error": _error,
}

"""A run told in few lines: warnings, errors and the outcome, and what its tasks print; for `--quiet`."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

from prefect.core.state_kinds import FAILED
from prefect.printable import error_text
from prefect.running.report import ENGINE_LOGGER, NO_EVENT, LineReporter, write_line
from prefect.secrets.masking import mask

if TYPE_CHECKING:
    from prefect.core.state import State
    from prefect.running.output import StreamName

_TOLD = FAILED | {"Cancelled"}
"""Outcomes that the runner's last line tells as an error or a warning."""


class QuietReporter(LineReporter):
    """The lines of a run that are no mere information; it can also be fed those of a run elsewhere."""

    def __init__(self) -> None:
        super().__init__(until_exit=True)
        self.setLevel(logging.WARNING)

    def finished(self, flow: str, state: State) -> None:
        """Write the outcome, if no warning or error has told it."""
        if not state.is_failed() and type(state).__name__ != "Cancelled":
            self._end(flow, type(state).__name__, state.message)

    def replay(self, line: str, stream: StreamName) -> None:
        """Take a line of a run that tells of itself in JSON; others are its tasks' output."""
        try:
            self._replay(json.loads(line))
        except NO_EVENT:  # written by something below Python
            write_line(mask(line), getattr(sys, stream), sys.stderr)

    def _replay(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "log":
            level = getattr(logging, event["level"], logging.ERROR)
            if level >= logging.WARNING:
                self._write(event["logger"], level, "%s", event["message"])
        elif kind == "output":
            out = sys.stderr if event["stream"] == "stderr" else sys.stdout
            write_line(mask(event["text"]), out, sys.stderr)
        elif kind == "flow":
            if event["state"] not in _TOLD:
                self._end(event["flow"], event["state"], event["message"])
        elif kind == "error":
            write_line(error_text(mask(str(event["message"]))), sys.stderr, sys.stderr)
        elif kind != "task":
            raise KeyError(kind)

    def _end(self, flow: str, state: str, message: str | None) -> None:
        self._write(ENGINE_LOGGER, logging.INFO, "flow %r: %s: %s", flow, state, message)

    def _write(self, logger: str, level: int, text: str, *values: Any) -> None:
        self.acquire()
        try:
            self.emit(logging.LogRecord(logger, level, "", 0, text, values, None))
        finally:
            self.release()

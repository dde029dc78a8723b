"""`prefect run --otel`: what a run's reporter hears is told to OpenTelemetry, too."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from prefect.core.state_kinds import kind_name
from prefect.running.report import NO_EVENT
from prefect.telemetry.run import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prefect.core.state import State
    from prefect.engine.events import TaskEvent
    from prefect.running.output import StreamName
    from prefect.running.report import Reporter


class Told:
    """Passes on what a reporter that is at work hears; meets `running.report.Reporter`.

    Args:
        reporter: that one; its own context is somebody else's business.
        flow: serialized.

    Raises:
        TelemetryError: OpenTelemetry is not installed, or its variables name what is not there.
    """

    def __init__(self, reporter: Reporter, flow: Mapping[str, Any]) -> None:
        self._reporter = reporter
        self._telemetry = Telemetry(flow)

    def __enter__(self) -> Self:
        self._telemetry.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._telemetry.__exit__(*exc)

    def on_state(self, event: TaskEvent) -> None:
        """Take a change of a task's state."""
        self._telemetry.on_state(event)
        self._reporter.on_state(event)

    def finished(self, flow: str, state: State) -> None:
        """Take the flow's final state."""
        self._telemetry.end(kind_name(state), state.message)
        self._reporter.finished(flow, state)

    def refused(self, error: Exception) -> None:
        """Take the error that kept the flow from running."""
        self._reporter.refused(error)


def listening(
    telemetry: Telemetry, tell: Callable[[str, StreamName], object]
) -> Callable[[str, StreamName], object]:
    """Return what takes the lines of a run elsewhere, tells of their events, and passes them on."""

    def take(line: str, stream: StreamName) -> object:
        with suppress(*NO_EVENT):
            event = json.loads(line)
            if event["event"] == "task":
                telemetry.take(
                    str(event["task"]), event["map_index"], str(event["state"]), event["message"],
                    children=event["children"], moment=float(event["time"]),
                )  # fmt: skip
            elif event["event"] == "flow":
                telemetry.end(str(event["state"]), event["message"])
        return tell(line, stream)

    return take

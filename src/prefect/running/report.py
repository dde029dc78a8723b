"""How a run tells what happens: log lines for people, or one JSON object a line for programs.

Events of the JSON form, each with `time` in seconds since 1970:

    {"event": "task", "task": slug, "name", "map_index": int or null, "state", "message",
     "children": of a mapped task}
    {"event": "log", "level", "logger", "message"}
    {"event": "output", "stream": "stdout" or "stderr", "text": a line that the process or a child
     of it wrote}
    {"event": "flow", "flow", "state", "message", "failed": [{"task", "traceback"}]}
    {"event": "error", "type", "message"}

Secret values are masked in all of it.
"""

from __future__ import annotations

import atexit
import json
import logging
import sys
import threading
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from prefect.core.state import TriggerFailed
from prefect.core.state_kinds import kind_name
from prefect.printable import error_text, printable, printable_lines, printable_log
from prefect.running.output import CapturedOutput
from prefect.running.stopping import abandon_output, provide_streams, reopened
from prefect.secrets.masking import is_masking, mask, mask_all
from prefect.streams import StandIn, stand_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.core.state import State
    from prefect.engine.events import TaskEvent
    from prefect.running.output import StreamName

ENGINE_LOGGER = "prefect"
TASK_LOGGERS = "prefect.task."
NO_EVENT = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
"""What a line raises where it is read that is no event, but was written by something below Python, or by somebody."""


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


class _Captured:
    """What reporters share that take all that this process writes.

    Args:
        tell: called with the name of the stream and each line, as `CapturedOutput` does.
        until_exit: whether what is written after the run is taken as well.
    """

    def __init__(self, tell: Callable[[str, str], object], *, until_exit: bool) -> None:
        self.output = CapturedOutput(tell)
        self._until_exit = until_exit
        self._taking = False

    def start(self) -> None:
        self.output.start()
        self._taking = True
        if self._until_exit:
            # Exit handlers of the flow's code come before it.
            atexit.register(self.output.put_back)

    def end(self, error: object) -> None:
        if not self._taking:
            return
        if self._until_exit and error is None:
            self.output.drain()
        else:
            self.output.stop()

    def write(self, line: str, stream: str = "stdout") -> None:
        """Write a line to a stream as it was, or go on without it."""
        write_line(
            line, self.output.out if stream == "stdout" else self.output.err, self.output.err
        )


class LineReporter(logging.StreamHandler[TextIO]):
    """Log lines on standard output.

    Where there are secrets, all that the process and its children write is taken, and masked line
    by line: loggers keep the streams that they found, and processes of a cluster have their own. Where
    there are none, it goes its own way, and tasks that print go on without a reader, as behind `| head`.

    Args:
        until_exit: whether that goes on after the run, for programs that end with it.
    """

    def __init__(self, *, until_exit: bool = False) -> None:
        super().__init__(sys.stdout)
        self.setFormatter(_LineFormatter("%(asctime)s  %(levelname)-7s  %(message)s", "%H:%M:%S"))
        self._captured = _Captured(self._show, until_exit=until_exit)
        self._until_exit = until_exit
        self._outliving = ExitStack()

    def __enter__(self) -> Self:
        if is_masking():
            self._captured.start()
            self.setStream(self._captured.output.out)
        else:
            out, err = (self._outliving.enter_context(stand_in(x)) for x in ("stdout", "stderr"))
            for each in (out, err):
                each.lost = partial(self._lose, each, err)
                self._outliving.callback(setattr, each, "lost", None)
        listen(self)
        return self

    def __exit__(self, *exc: object) -> None:
        forget(self)
        self._captured.end(exc[0])
        if not self._until_exit:
            self._outliving.close()

    @staticmethod
    def _lose(stream: StandIn, err: StandIn, error: OSError) -> None:
        abandon_output(error, stream.stream, err.stream)

    def _show(self, stream: str, line: str) -> None:
        self._captured.write(mask(line), stream)

    def on_state(self, event: TaskEvent) -> None:
        """Do nothing: the runner's own log lines tell it."""

    def finished(self, flow: str, state: State) -> None:
        """Do nothing: the runner's last log line tells it."""

    def refused(self, error: Exception) -> None:
        """Write the error to standard error."""
        provide_streams()  # it may be closed
        print(error_text(mask(str(error))), file=sys.stderr)  # noqa: T201

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Go on without a reader if there is none any more, as behind `| head`."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            abandon_output(error, self.stream, sys.stderr)
        elif getattr(self.stream, "closed", False):  # by a task
            self.stream = reopened("stdout", self.stream)
            provide_streams()
            self.emit(record)
        else:
            super().handleError(record)


class _LineFormatter(logging.Formatter):
    """Puts a task's name before what it logs, and lets nothing command a terminal.

    Names, the texts of exceptions and of what tasks log are anybody's; of the last the colours are left.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        if record.name.startswith(TASK_LOGGERS):
            name = printable(record.name.removeprefix(TASK_LOGGERS))
            record.message = f"{name}: {record.message}"
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        text = mask(super().format(record))
        return printable_lines(text) if record.name == ENGINE_LOGGER else printable_log(text)


class JsonReporter(logging.Handler):
    """One JSON object a line on standard output, all that the process writes among them.

    Args:
        until_exit: whether what is written after the run, by exit handlers and threads that are
            left behind, is reported as well: for programs that end with the run.
    """

    def __init__(self, *, until_exit: bool = False) -> None:
        super().__init__()
        self._captured = _Captured(self._tell, until_exit=until_exit)

    def __enter__(self) -> Self:
        self._captured.start()
        listen(self)
        return self

    def __exit__(self, *exc: object) -> None:
        forget(self)
        self._captured.end(exc[0])

    def _tell(self, stream: str, line: str) -> None:
        # A value may be no text. JSON has no other way to tell of such bytes than U+FFFD.
        text = mask(line).encode(errors="surrogateescape").decode(errors="replace")
        self.write("output", stream=stream, text=text)

    def write(self, event: str, **values: Any) -> None:
        """Write one event."""
        told = {"event": event, "time": round(time.time(), 3), **mask_all(values)}
        # The lock is logging's: lines of several threads do not mix.
        with self.lock or threading.RLock():
            self._captured.write(json.dumps(told, default=str))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record, its traceback included."""
        if record.name == ENGINE_LOGGER and record.levelno <= logging.INFO:
            return  # the states tell it
        message = logging.Formatter("%(message)s").format(record)
        self.write("log", level=record.levelname, logger=record.name, message=message)

    def on_state(self, event: TaskEvent) -> None:
        """Write a change of a task's state."""
        self.write("task", **describe_task(event))

    def finished(self, flow: str, state: State) -> None:
        """Write the outcome, after all that was written before it."""
        self._captured.output.drain()
        failed = [{"task": task, "traceback": text} for task, text in tracebacks(state)]
        name = kind_name(state)
        self.write("flow", flow=flow, state=name, message=state.message, failed=failed)

    def refused(self, error: Exception) -> None:
        """Write the error."""
        self.write("error", type=type(error).__name__, message=str(error))


def write_line(line: str, out: TextIO, err: TextIO) -> None:
    """Write a line of a run that goes on if that cannot be written."""
    try:
        out.write(f"{line}\n")
        out.flush()
    except OSError as error:
        abandon_output(error, out, err)


def describe_task(event: TaskEvent) -> dict[str, Any]:
    """Return a change of a task's state as plain JSON values."""
    return {
        "task": event.task_slug,
        "name": event.task_name,
        "map_index": event.map_index,
        "state": kind_name(event.state),
        "message": event.state.message,
        "children": event.children,
    }


def as_event(line: str, stream: StreamName) -> str:
    """Return a line of JSON for one that a worker wrote: the line itself, if it is an event.

    Before its worker reports, and when its interpreter crashes, others write to the same stream.
    """
    with suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            return line
    told = {"event": "output", "time": round(time.time(), 3), "stream": stream, "text": line}
    return json.dumps(mask_all(told))


def tracebacks(flow_state: State) -> Iterator[tuple[str, str]]:
    """Yield the name and the traceback of each task that raised, mapped children included."""
    states = flow_state.result if isinstance(flow_state.result, dict) else {}
    for task, state in states.items():
        for index, child in enumerate(getattr(state, "map_states", None) or [state]):
            # What was not run has nothing to tell but what failed before it.
            if child.is_failed() and not isinstance(child, TriggerFailed) and child.traceback:
                where = f"{task.name}[{index}]" if state.is_mapped() else task.name
                yield where, child.traceback


def listen(handler: logging.Handler) -> None:
    """Send what tasks and the engine log to one handler alone.

    Of what tasks and libraries log, what PREFECT__LOGGING__LEVEL says; what the engine says of states does not depend on it.
    """
    from prefect.core.shown import wanted_level  # noqa: PLC0415 - not where a run is told of elsewhere

    wanted = wanted_level()
    if wanted > logging.INFO:
        handler.addFilter(lambda line: line.name == ENGINE_LOGGER or line.levelno >= wanted)
    logger = logging.getLogger(ENGINE_LOGGER)
    logger.addHandler(handler)
    logger.setLevel(min(wanted, logging.INFO))
    # What the root logger would print a second time.
    logger.propagate = False


def forget(handler: logging.Handler) -> None:
    """Undo `listen`."""
    logger = logging.getLogger(ENGINE_LOGGER)
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True

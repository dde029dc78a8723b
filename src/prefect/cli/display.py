"""The live view of a run on a terminal: what runs now, what ended, and what went wrong."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment, Segments
from rich.spinner import Spinner
from rich.style import Style
from rich.table import Table
from rich.text import Text

from prefect.cli.scroll import Scroll, commanding_nothing
from prefect.printable import duration, error_text, printable, printable_lines
from prefect.progress.counts import Counts, Mapped
from prefect.progress.lines import Ticker
from prefect.progress.resources import Usage, told
from prefect.running.output import CapturedOutput
from prefect.running.report import (
    ENGINE_LOGGER,
    NO_EVENT,
    TASK_LOGGERS,
    describe_task,
    forget,
    listen,
    tracebacks,
)
from prefect.secrets.masking import mask, mask_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prefect.core.state import State

_LARGEST_VIEW = 12
_DIM = Style(dim=True)
_SECONDS_OF_USAGE = 1.0
_MARKS = {
    "Success": Text("✓", "green"),
    "Skipped": Text("↷", "yellow"),
    "Retrying": Text("↻", "yellow"),
    "Paused": Text("‖", "yellow"),
    "Failed": Text("✗", "bold red"),
    "TimedOut": Text("✗", "bold red"),
    "TriggerFailed": Text("⊘", "red"),
}
_CUT_OFF = Text("■", "yellow")
_QUIET = {"Pending", "Scheduled"}


class LiveDisplay(logging.Handler):
    """A `Reporter` for a terminal, which can also be fed the JSON lines of a container."""

    def __init__(self, flow: dict[str, Any]) -> None:
        super().__init__()
        self._flow = flow["name"]
        self._changing = threading.Lock()
        self.counts = Counts(flow)
        self._silent = self.counts.silent
        self._cut_off = 0
        self.measured: Callable[[], tuple[float, int] | None] = Usage().now
        self._used = ""
        self._console = Console(highlight=False)
        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._scroll = Scroll(self._console, self._live)
        self._output = CapturedOutput(lambda _, line: self._show_output(line))
        self._entered = ExitStack()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._output.start()
        self._entered.callback(self._output.stop)
        # Not what is written to standard output, which it shows.
        self._console.file = self._output.out
        listen(self)
        self._entered.enter_context(Ticker(self._measure, _SECONDS_OF_USAGE))
        self._live.start()
        self._entered.callback(self._live.stop)
        self._entered.enter_context(self._scroll)
        self._entered.callback(self._output.drain)
        return self

    def __exit__(self, *exc: object) -> None:
        forget(self)
        self._show_cut_off()
        self._entered.close()

    def _show_cut_off(self) -> None:
        """Show what still runs: nothing, where the run has come to its end."""
        for key, began in list(self.counts.running.items()):
            self._cut(key, began)
        if self._cut_off > _LARGEST_VIEW:
            more = f"  … and {self._cut_off - _LARGEST_VIEW} more cut off"
            self._scroll.add(Text(more, "dim"))

    def _cut(self, key: tuple[str, int | None], began: float) -> None:
        """Show that a task was cut off; the first of them by name."""
        if key[0] in self._silent:
            return
        self._cut_off += 1
        if self._cut_off <= _LARGEST_VIEW:
            line = Text.assemble("  ", _CUT_OFF, " ", self._label(*key))
            line.append(f"  cut off after {duration(time.monotonic() - began)}", "dim")
            self._scroll.add(line)

    def _show_output(self, line: str) -> None:
        self._scroll.add(mask(line))

    def emit(self, record: logging.LogRecord) -> None:
        """Show a task's log line above the view."""
        message = logging.Formatter("%(message)s").format(record)
        self._log(record.levelname, record.name, mask(message))

    def on_state(self, event: Any) -> None:
        """Take one `TaskEvent` of a run in this process."""
        self.update(mask_all(describe_task(event)))

    def finished(self, flow: str, state: State) -> None:
        """Show the outcome, with the traceback of each failure."""
        self._output.drain()
        failed = [{"task": task, "traceback": text} for task, text in tracebacks(state)]
        self._outcome(flow, type(state).__name__, state.message, mask_all(failed))

    def refused(self, error: Exception) -> None:
        """Show the error that kept the flow from running."""
        self._scroll.add(Text(error_text(mask(str(error))), "red"))

    def replay(self, lines: Iterable[str]) -> None:
        """Show a run that tells of itself in JSON lines; other lines are its tasks' output."""
        for line in lines:
            try:
                self._replay_event(json.loads(line))
            except NO_EVENT:  # written by something below Python
                self._show_output(line)

    def _replay_event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "task":
            if not isinstance(event["children"], int | None):
                raise TypeError("children are counted")
            self.update(event)
        elif kind == "log":
            self._log(event["level"], event["logger"], event["message"])
        elif kind == "output":
            self._scroll.add(event["text"])
        elif kind == "flow":
            self._outcome(event["flow"], event["state"], event["message"], event["failed"])
        elif kind == "error":
            self._scroll.add(Text(error_text(str(event["message"])), "red"))
        else:
            raise KeyError(kind)

    def _measure(self) -> None:
        self._used = told(self.measured())

    def update(self, event: dict[str, Any]) -> None:
        """Take one change of a task's state."""
        task, index, state = event["task"], event["map_index"], event["state"]
        with self._changing:
            began = self.counts.running.get((task, index))
            seconds, ended = self.counts.take(task, index, state, event["children"])
        if state == "Cancelled":
            if began is not None:  # else it had not begun, as many may not have
                self._cut((task, index), began)
        elif state not in {"Running", "Mapped"}:
            self._show_state(event, seconds)
        if ended is not None:
            self._show_mapped(task, ended)

    def _show_state(self, event: dict[str, Any], seconds: float | None) -> None:
        """Show a task's new state, if it is one of a task by itself or no good one."""
        task, index, state = event["task"], event["map_index"], event["state"]
        shown = index is None and task not in self._silent
        if state in _QUIET or (not shown and state in {"Success", "Skipped"}):
            return
        line = Text.assemble("  ", _MARKS.get(state, Text("·")), " ", self._label(task, index))
        if seconds is not None:
            line.append(f"  {duration(seconds)}", "dim")
        if event["message"] and state != "Success":
            line.append(f"  {printable(event['message'])}", "dim")
        self._scroll.add(line)

    def _show_mapped(self, task: str, mapped: Mapped) -> None:
        if mapped.cut_off:
            return  # the end of the run tells it
        seconds = time.monotonic() - mapped.began
        mark = _MARKS["Failed"] if mapped.failed else _MARKS["Success"]
        line = Text.assemble("  ", mark, " ", self._label(task))
        line.append(f"  {mapped.children} items in {duration(seconds)}", "dim")
        if mapped.failed:
            line.append(f", {mapped.failed} failed", "red")
        self._scroll.add(line)

    def _log(self, level: str, logger: str, message: str) -> None:
        if logger == ENGINE_LOGGER:
            return  # the view itself shows it
        style = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}.get(level, "")
        name = printable(logger.removeprefix(TASK_LOGGERS))
        if message.isprintable():  # as nearly all are: rich has less to do
            parts = [Segment(f"    {name}: ", _DIM), Segment(message, Style.parse(style))]
            self._scroll.add(Segments([*parts, Segment.line()]))
        else:
            # Its colours are shown; what else commands a terminal would draw over the view.
            own = commanding_nothing(Text.from_ansi(message, style=style))
            self._scroll.add(Text.assemble("    ", (f"{name}: ", "dim"), own))

    def _outcome(
        self, flow: str, state: str, message: str | None, failed: list[dict[str, str]]
    ) -> None:
        for failure in failed:
            self._scroll.add(Text(f"\n{printable(failure['task'])}", "bold red"))
            self._scroll.add(Text(printable_lines(failure["traceback"]).rstrip()))
        seconds = time.monotonic() - self._started
        line = Text.assemble(
            _MARKS.get(state, Text("✗", "bold red")), " ", (printable(flow), "bold"), f": {state}"
        )
        line.append(f" in {duration(seconds)}. {printable(message or '')}".rstrip())
        self._scroll.add(line)

    def _render(self) -> RenderableType:
        with self._changing:
            return Group(*self._rows())

    def _rows(self) -> Iterator[RenderableType]:
        counts = self.counts
        running, more = counts.first_running(_LARGEST_VIEW)
        for name, seconds in running:
            text = Text(f"{printable(name)}  {duration(seconds)}", no_wrap=True)
            yield Spinner("dots", text, style="cyan")
        if more:
            yield Text(f"  … and {more:,} more", "dim")
        bars = Table.grid(padding=(0, 1))
        for name, mapped, part in counts.parts()[:_LARGEST_VIEW]:
            text = Text(f"{printable(name)}: {part}", no_wrap=True)
            bars.add_row(_bar(mapped.ended, mapped.children), text)
        bars.add_row(_bar(counts.finished, counts.total), Text(counts.head(), no_wrap=True))
        yield bars
        last = " · ".join(filter(None, (printable(counts.slow()), self._used)))
        if last:
            yield Text(last, "dim", no_wrap=True, overflow="ellipsis")

    def _label(self, task: str, index: int | None = None) -> str:
        return printable(self.counts.label(task, index))


def _bar(done: int, total: int) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=done if total else 1, width=30)

"""The live view of a run on a terminal: what runs now, what ended, and what went wrong."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass  # noqa: TID251 - it can be changed, and is for terminals
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment, Segments
from rich.spinner import Spinner
from rich.style import Style
from rich.table import Table
from rich.text import Text

from prefect.cli.scroll import Scroll
from prefect.printable import error_text, printable, printable_lines
from prefect.running.output import CapturedOutput
from prefect.running.report import (
    ENGINE_LOGGER,
    TASK_LOGGERS,
    describe_task,
    forget,
    listen,
    tracebacks,
)
from prefect.secrets.masking import mask, mask_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prefect.core.state import State

_LARGEST_VIEW = 12
_DIM = Style(dim=True)
_MARKS = {
    "Success": Text("✓", "green"),
    "Skipped": Text("↷", "yellow"),
    "Retrying": Text("↻", "yellow"),
    "Failed": Text("✗", "bold red"),
    "TimedOut": Text("✗", "bold red"),
    "TriggerFailed": Text("⊘", "red"),
}
_CUT_OFF = Text("■", "yellow")
_FAILED = {"Failed", "TimedOut", "TriggerFailed"}
_QUIET = {"Pending", "Scheduled"}


@dataclass(slots=True)
class _Mapped:
    """A mapped task whose children are being run."""

    children: int
    began: float
    ended: int = 0
    failed: int = 0
    cut_off: int = 0


class LiveDisplay(logging.Handler):
    """A `Reporter` for a terminal, which can also be fed the JSON lines of a container."""

    def __init__(self, flow: dict[str, Any]) -> None:
        super().__init__()
        self._flow = flow["name"]
        self._total = len(flow["tasks"])
        # What only has a value, or passes values on, is counted and not shown.
        self._silent = {parameter["name"] for parameter in flow["parameters"]}
        self._silent |= {task["id"] for task in flow["tasks"] if task.get("auto_generated")}
        # A task goes by its name where that is its alone, else by its id.
        names = Counter(task["name"] for task in flow["tasks"])
        self._names = {
            task["id"]: task["name"] if names[task["name"]] == 1 else task["id"]
            for task in flow["tasks"]
        }
        self._finished = 0
        self._cut_off = 0
        self._mapped: dict[str, _Mapped] = {}
        self._running: dict[tuple[str, int | None], float] = {}
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
        self._console.file = (
            self._output.out
        )  # not what is written to standard output, which it shows
        listen(self)
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
        for key, began in list(self._running.items()):
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
            line.append(f"  cut off after {time.monotonic() - began:.1f} s", "dim")
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
            except (ValueError, KeyError, TypeError):  # written by something below Python
                self._show_output(line)

    def _replay_event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "task":
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

    def update(self, event: dict[str, Any]) -> None:
        """Take one change of a task's state."""
        task, index, state = event["task"], event["map_index"], event["state"]
        key = (task, index)
        if state == "Running":
            self._running[key] = time.monotonic()
            return
        began = self._running.pop(key, None)
        if state == "Mapped":
            self._mapped[task] = _Mapped(event["children"] or 0, time.monotonic())
            self._end_of_mapped(task)
            return
        if state != "Cancelled":
            self._show_state(event, began)
        elif began is not None:  # else it had not begun, as many may not have
            self._cut(key, began)
        if state in _QUIET or state == "Retrying":
            return
        if index is None:
            self._finished += 1
        elif task in self._mapped:
            self._mapped[task].ended += 1
            self._mapped[task].failed += state in _FAILED
            self._mapped[task].cut_off += state == "Cancelled"
            self._end_of_mapped(task)

    def _show_state(self, event: dict[str, Any], began: float | None) -> None:
        """Show a task's new state, if it is one of a task by itself or no good one."""
        task, index, state = event["task"], event["map_index"], event["state"]
        shown = index is None and task not in self._silent
        if state in _QUIET or (not shown and state in {"Success", "Skipped"}):
            return
        line = Text.assemble("  ", _MARKS.get(state, Text("·")), " ", self._label(task, index))
        if began is not None:
            line.append(f"  {time.monotonic() - began:.1f} s", "dim")
        if event["message"] and state != "Success":
            line.append(f"  {printable(event['message'])}", "dim")
        self._scroll.add(line)

    def _end_of_mapped(self, task: str) -> None:
        mapped = self._mapped[task]
        if mapped.ended < mapped.children:
            return
        del self._mapped[task]
        self._finished += 1
        if mapped.cut_off:
            return  # the end of the run tells it
        seconds = time.monotonic() - mapped.began
        mark = _MARKS["Failed"] if mapped.failed else _MARKS["Success"]
        line = Text.assemble("  ", mark, " ", self._label(task))
        line.append(f"  {mapped.children} items in {seconds:.1f} s", "dim")
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
            self._scroll.add(Text.assemble("    ", (f"{name}: ", "dim"), (message, style)))

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
        line.append(f" in {seconds:.1f} s. {printable(message or '')}".rstrip())
        self._scroll.add(line)

    def _render(self) -> RenderableType:
        now = time.monotonic()
        rows: list[RenderableType] = []
        for (task, index), began in list(self._running.items())[:_LARGEST_VIEW]:
            rows.append(
                Spinner(
                    "dots", Text(f"{self._label(task, index)}  {now - began:.0f} s"), style="cyan"
                )
            )
        if len(self._running) > _LARGEST_VIEW:
            rows.append(Text(f"  … and {len(self._running) - _LARGEST_VIEW} more", "dim"))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=self._total, completed=self._finished, width=30),
            Text(f"{self._finished}/{self._total} tasks"),
            Text(
                "".join(
                    f"  {self._label(t)}: {m.ended}/{m.children}"
                    for t, m in list(self._mapped.items())
                ),
                "dim",
            ),
        )
        return Group(*rows, bar)

    def _label(self, task: str, index: int | None = None) -> str:
        name = printable(self._names.get(task, task))
        return name if index is None else f"{name}[{index}]"

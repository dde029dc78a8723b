"""A run as text for terminals: what became of it, of each task, and when."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prefect.core.labels import Labels
from prefect.core.picture import MARKS
from prefect.printable import duration, printable, printable_lines
from prefect.records.run import FAILED, RUNNING
from prefect.records.summary import counts_of, counts_text, states_of, told_of, tries_text
from prefect.report.data import facts, value_text

if TYPE_CHECKING:
    from prefect.records.run import Run, TaskRun

_BARS = 24
_MOST_TASKS = 200
_MOST_FAILURES = 10
_WIDEST = 32


def text(run: Run, *, everything: bool = False) -> str:
    """Return a run as lines of text, in which nothing commands a terminal.

    Args:
        run: as its record tells of it.
        everything: all tasks, failures and log lines, however many there are.
    """
    lines = [*_head(run), ""]
    lines += _tasks(run, None if everything else _MOST_TASKS)
    lines += _failures(run, None if everything else _MOST_FAILURES)
    if everything:
        lines += _logs(run)
    return "\n".join(lines).rstrip() + "\n"


def _head(run: Run) -> list[str]:
    state = run.state or "no end recorded"
    end = run.last if run.ended is None else run.ended
    message = f": {printable(run.message)}" if run.message else ""
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.started))
    lines = [
        f"{MARKS.get(run.state or RUNNING, '·')} {printable(run.flow['name'])}: {state} after {duration(end - run.started)}{message}",
        f"  {'Began':<13} {began}",
    ]
    told = [(name, value) for name, value in facts(run) if value]
    told += [
        ("Parameter", f"{name} = {value_text(value)}") for name, value in run.parameters.items()
    ]
    lines += [f"  {printable(name):<13} {printable(value)}" for name, value in told]
    again = tries_text(one for _, _, one in run.units())
    counted = ", ".join(filter(None, (counts_text(counts_of(run)) or "none", again)))
    return [*lines, f"  {'Tasks':<13} {counted}"]


def _span(task: TaskRun, now: float) -> tuple[float, float] | None:
    tries = [one for each in (task, *task.children.values()) for one in each.tries]
    if not tries:
        return None
    return min(one.started for one in tries), max(
        now if one.ended is None else one.ended for one in tries
    )


def _tasks(run: Run, most: int | None) -> list[str]:
    end = max(run.last, run.started + 1e-6)
    labels, told = Labels(run.flow), list(told_of(run))
    shown = told[:most]
    width = min(max((len(printable(labels.of(slug))) for slug, _ in shown), default=0), _WIDEST)
    lines = []
    for slug, task in shown:
        counts = states_of(task)
        worst = next(s for s in (*_worst_first(), *counts) if counts.get(s))
        span = _span(task, end)
        took = duration(span[1] - span[0]) if span else ""
        notes = []
        if task.children or task.child_count:
            notes.append("×" + str(max(task.child_count, len(task.children))))  # noqa: RUF001 - it is no letter
            if len(counts) > 1:
                notes.append(counts_text(counts))
        if again := tries_text(one for _, one in task.units()):
            notes.append(again)
        if task.message or task.why:
            notes.append(printable(task.message or task.why))
        line = f"{MARKS.get(worst, '·')} {printable(labels.of(slug)):<{width}}  {took:>12}  {_bar(span, run.started, end)}  {'  '.join(notes)}"
        lines.append(line.rstrip())
    if len(told) > len(shown):
        lines.append(f"… and {len(told) - len(shown)} more tasks: --all shows them")
    return lines


def _worst_first() -> tuple[str, ...]:
    return (
        "Failed",
        "TimedOut",
        "ValidationFailed",
        "TriggerFailed",
        "Running",
        "Retrying",
        "Paused",
        "Cancelled",
    )


def _bar(span: tuple[float, float] | None, start: float, end: float) -> str:
    """Return when within the run something ran, as a line of blocks."""
    if span is None:
        return "┈" * _BARS
    scale = _BARS / (end - start)
    first = min(max(int((span[0] - start) * scale), 0), _BARS - 1)
    last = min(max(int((span[1] - start) * scale - 1e-9), first), _BARS - 1)
    return "┈" * first + "█" * (last - first + 1) + "┈" * (_BARS - last - 1)


def _failures(run: Run, most: int | None) -> list[str]:
    failed = [
        (slug, index, one)
        for slug, index, one in run.units()
        if one.state in FAILED and one.state != "TriggerFailed"
    ]
    lines, labels = [], Labels(run.flow)
    for slug, index, one in failed[:most]:
        lines += [
            "",
            f"✗ {printable(labels.of(slug, index))}: {printable(one.message or one.state)}",
        ]
        lines += [
            f"    {line}" for line in printable_lines(one.traceback.rstrip()).split("\n") if line
        ]
    if most is not None and len(failed) > most:
        lines += ["", f"… and {len(failed) - most} more failures: --all shows them"]
    return lines


def _logs(run: Run) -> list[str]:
    every = sorted((line.time, slug, line) for slug, some in run.logs.items() for line in some)
    lines = ["", "Logs"] if every else []
    labels = Labels(run.flow)
    for at, slug, line in every:
        where = labels.of(slug, line.map_index) if slug else ""
        first, *more = printable_lines(line.message).split("\n")
        who = printable(where or line.logger)
        lines.append(
            f"  +{duration(at - run.started):<9} {printable(line.level):<8} {who}: {first}"
        )
        lines += [f"    {each}" for each in more]
    return lines

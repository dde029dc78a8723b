"""A run as the plain values that its page draws: small, as there are many of them, and nothing but text.

Times are tenths of milliseconds since the run began. Texts stand in a list once, and are named by their
place. Control characters and those that change the direction of text are written out, as everywhere.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from prefect.core.labels import Labels
from prefect.core.picture import Picture
from prefect.printable import printable, printable_lines
from prefect.records.run import MAPPED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.records.run import Result, Run, TaskRun

_TICKS = 10_000  # a second
_MOST_LOGS = 20_000
_LONGEST_VALUE = 2_000
_DIGITS = slice(7, 19)  # of a digest, as many as tell results apart


class _Texts:
    """Texts, each once."""

    def __init__(self, *first: str) -> None:
        self._places = {text: place for place, text in enumerate(first)}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def shown(self) -> list[str]:
        return [text if text.isprintable() else printable_lines(text) for text in self._places]


def page_data(
    run: Run,
    *,
    live: bool = False,
    reasons: Mapping[tuple[str, int | None], str] | None = None,
) -> dict[str, Any]:
    """Return what the page of a run draws, as plain JSON values.

    Args:
        run: as its record tells of it.
        live: whether it is followed while it goes on, so that what runs has run until now.
        reasons: why tasks ran again or did not, where the record itself does not tell it, by slug and index.
    """
    texts, states, workers = _Texts(""), _Texts(), _Texts("")
    levels, loggers = _Texts(), _Texts()
    begun = run.started
    labels = Labels(run.flow)
    silent = labels.silent
    numbers = {slug: number for number, slug in enumerate(run.tasks)}

    known = reasons or {}

    def row(slug: str, index: int, one: TaskRun) -> list[Any]:
        last = -1 if one.ended is None else round((one.ended - begun) * _TICKS)
        why = one.why or (known.get((slug, None if index < 0 else index), "") if known else "")
        values: list[Any] = [numbers[slug], index, states.place(one.state), texts.place(one.message),
                             texts.place(one.traceback), texts.place(why), _result(one.result), last]  # fmt: skip
        for each in one.tries:
            took = -1 if each.ended is None else round((each.ended - each.started) * _TICKS)
            values += (round((each.started - begun) * _TICKS), took, states.place(each.state), workers.place(each.worker),
                       texts.place(each.message), texts.place(each.traceback))  # fmt: skip
        return values

    rows = []
    for slug, task in run.tasks.items():
        rows.append(row(slug, -1, task))
        rows += [row(slug, index, child) for index, child in task.children.items()]
    lines = sorted(
        (line.time, numbers.get(slug, -1), line) for slug, some in run.logs.items() for line in some
    )
    logs = [
        (round((at - begun) * _TICKS), levels.place(line.level), loggers.place(line.logger),
         texts.place(line.message), number, line.map_index)
        for at, number, line in lines[-_MOST_LOGS:]
    ]  # fmt: skip
    edges = [numbers[edge[end]] for edge in run.flow["edges"] for end in ("upstream", "downstream")]
    now = max(run.last, time.time()) if live and run.ended is None else run.last
    return {
        "run": run.run,
        "flow": printable(run.flow["name"]),
        "state": run.state,
        "message": printable(run.message),
        "started": begun,
        "ended": None if run.ended is None else round((run.ended - begun) * _TICKS),
        "now": round((now - begun) * _TICKS),
        "live": live and run.ended is None,
        "facts": [[printable(name), printable(value)] for name, value in facts(run) if value],
        "parameters": [[printable(name), value_text(value)] for name, value in run.parameters.items()],
        "requirements": [printable(each) for each in run.versions.get("requirements", ())],
        "tasks": [
            [printable(task["id"]), printable(labels.of(task["id"])), printable(task["type"]), _mapped(run.tasks[task["id"]]), int(task["id"] in silent)]
            for task in run.flow["tasks"]
        ],
        "edges": edges,
        "rows": rows,
        "logs": logs,
        "graph": _graph(run.flow),
        "texts": texts.shown(),
        "states": states.shown(),
        "workers": workers.shown(),
        "levels": levels.shown(),
        "loggers": loggers.shown(),
    }  # fmt: skip


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what is known of where and how a run went; what is not known is ""."""
    versions = run.versions
    left_out = f"{run.ignored} lines of the record mean nothing here" if run.ignored else ""
    return [
        ("Run", run.run),
        ("Goes on with", run.resumes or ""),
        ("Executor", run.executor or ""),
        ("Place", run.place or ""),
        ("Machine", run.host or ""),
        ("Process", str(run.pid or "")),
        ("Artifact", run.artifact or ""),
        *((name.capitalize(), value) for name, value in versions.items() if isinstance(value, str)),
        ("Left out", left_out),
    ]


def value_text(value: Any) -> str:
    """Return a parameter's value as text, or the beginning of a long one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}…"
    return printable(text)


def _mapped(task: TaskRun) -> int:
    """Return 0 for a task that has no children, else one more than they are."""
    if task.state == MAPPED or task.children:
        return max(task.child_count, len(task.children)) + 1
    return 0


def _result(result: Result | None) -> Any:
    return 0 if result is None else [result.digest[_DIGITS], result.size, printable(result.format)]


def _graph(flow: dict[str, Any]) -> dict[str, Any]:
    picture = Picture(flow)
    return {
        "w": picture.width,
        "h": picture.height,
        "boxes": [
            [box.x, box.y, box.width, box.label, box.mapped + 2 * box.parameter, box.members]
            for box in picture.boxes
        ],
        "arrows": [[up, down, int(mapped), path] for up, down, mapped, path in picture.arrows],
    }

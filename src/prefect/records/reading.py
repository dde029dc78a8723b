"""Reads the record of a run, whoever wrote it.

A record may be torn at its end, still be written, or be made up: each line is checked. One that means
nothing is left out and counted; only a file that does not begin as a record is an error. What is kept
is bounded: the number of tasks and of lines, and their text.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from prefect.engine.collection import no_collection
from prefect.errors import FormatError, InputTooLargeError, RecordError
from prefect.patterns import pattern
from prefect.payload.description import check_description
from prefect.printable import printable
from prefect.records.run import (
    ENDED,
    LOOPED,
    PAUSED,
    PENDING,
    RETRYING,
    RUNNING,
    Log,
    Result,
    Run,
    TaskRun,
    Try,
)
from prefect.records.values import (
    LARGEST,
    LATEST,
    name_in,
    parameters_in,
    reads_in,
    result_in,
    run_id,
    seconds_in,
    texts_in,
    versions_in,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

VERSION = 1
LARGEST_RECORD = 1 << 30
# The first line has the whole flow: that of 100,000 tasks has 30 MB.
_LONGEST_LINE = 48 << 20
_MOST_CHILDREN = 1_000_000
_MOST_LOGS = 200_000
_MOST_TEXT = 128 << 20
"""Characters of messages, tracebacks and logs, all in all."""
_LONGEST_TEXT = 100_000
_MOST_TRIES = 1_000
_STATE = pattern(r"[A-Za-z]{1,40}")
_USUAL_KEYS = 4  # most lines have no more
_AGAIN = {RETRYING, LOOPED, PAUSED}
_decode = json.JSONDecoder(parse_constant=str).raw_decode  # JSON has no NaN, but Python writes it


def read_record(path: str | os.PathLike[str]) -> Run:
    """Read the record of a run, which may still go on.

    Args:
        path: of its file, whose name ends in .jsonl.

    Raises:
        RecordError: it is no record, or one of a later version.
        InputTooLargeError: it is larger than any (an OSError).
        OSError: it cannot be read.
    """
    name = printable(str(path))
    path = Path(path)
    if path.exists() and not path.is_file():
        raise RecordError(f"{name} is no file: the record of a run is one")
    reader = RecordReader(name)
    with path.open("rb") as file:
        reader.read(file)
    return reader.run()


class _Task:
    """What is known so far of a task or a child."""

    __slots__ = ("child_count", "children", "ended", "inputs", "message", "result", "state", "traceback", "tries", "why")  # fmt: skip

    def __init__(self) -> None:
        self.state = PENDING
        self.tries: list[Try] = []
        self.ended: float | None = None
        self.message = self.traceback = self.why = ""
        self.result: Result | None = None
        self.child_count = 0
        self.children: dict[int, _Task] | None = None
        self.inputs: dict[str, str] = {}

    def seen(self) -> TaskRun:
        children = {index: self.children[index].seen() for index in sorted(self.children)} if self.children else {}  # fmt: skip
        return TaskRun(self.state, tuple(self.tries), self.ended, self.message, self.traceback, self.result, self.why, self.child_count, children, self.inputs)  # fmt: skip


class RecordReader:
    """Reads a record as it grows.

    Args:
        name: of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._head: dict[str, Any] | None = None
        self._tasks: dict[str, _Task] = {}
        self._logs: dict[str, list[Log]] = {}
        self._log_count = self._children = self._read = self._ignored = 0
        self._room = _MOST_TEXT
        self._last = 0.0
        self._end: tuple[float, str, str] | None = None
        self._code: dict[str, dict[str, str]] = {}
        self._reads: dict[str, dict[str, tuple[str, str]]] = {}
        self._takers: dict[str, Callable[[dict[str, Any], float], bool]] = {
            "task": self._take_task,
            "log": self._take_log,
            "output": self._take_output,
            "flow": self._take_end,
            "code": self._take_code,
        }

    def read(self, file: BinaryIO) -> bool:
        """Read the lines that a file has from where it stands, and leave a torn last one unread.

        Args:
            file: one that can be sought in. Given again, it is read on.

        Returns:
            whether there was a line.

        Raises:
            RecordError: it is no record, or one of a later version.
            InputTooLargeError: it is larger than any.
        """
        before = self._read
        with no_collection():
            for line in iter(partial(file.readline, _LONGEST_LINE), b""):
                whole = line.endswith(b"\n")
                if not whole and len(line) < _LONGEST_LINE:
                    file.seek(-len(line), 1)
                    break
                self._read += len(line)
                if self._read > LARGEST_RECORD:
                    raise InputTooLargeError(
                        f"{self._name} has more than {LARGEST_RECORD >> 30} GiB, which no record of a run has"
                    )
                if not whole or not self._take(line):
                    self._ignored += 1
        return self._read > before

    def run(self) -> Run:
        """Return what has been read.

        Raises:
            RecordError: that was nothing.
        """
        if self._head is None:
            raise RecordError(
                f"{self._name} is empty: its run was stopped before it began, or begins just now"
            )
        with no_collection():
            ended, state, message = self._end or (None, None, "")
            return Run(
                **self._head,
                ended=ended,
                last=self._last,
                state=state,
                message=message,
                tasks={slug: task.seen() for slug, task in self._tasks.items()},
                logs={slug: tuple(lines) for slug, lines in self._logs.items()},
                code=dict(self._code),
                reads=dict(self._reads),
                ignored=self._ignored,
            )

    def _take(self, line: bytes) -> bool:
        """Take a line; tell whether it means something."""
        event: Any = None
        try:
            text = line.decode()
            event, end = _decode(text)
            if end < len(text) - 1 and text[end:].strip():
                event = None
            kind = event["event"]
            taker = self._takers.get(kind)
            time = event["time"] if taker is not None else 0.0
        except (ValueError, RecursionError, TypeError, KeyError):
            if self._head is not None:
                return False
        if self._head is None:
            self._begin(event)
            return True
        if taker is None:
            return type(kind) is str and kind != "run"  # of a later release, or for others
        if type(time) is not float and (time := seconds_in(time)) is None:
            return False
        if not (0 <= time < LATEST and taker(event, time)):
            return False
        self._last = max(self._last, time)
        return True

    def _begin(self, event: Any) -> None:
        if not isinstance(event, dict) or event.get("event") != "run":
            raise RecordError(
                f"{self._name} is no record of a run: its first line is not that of one. Records are "
                "files of JSON lines, below runs/ in a store"
            )
        if type(event.get("version")) is not int or event["version"] != VERSION:
            raise RecordError(
                f"{self._name} is a record of version {event.get('version')!r:.40}; this release of prefect "
                f"reads version {VERSION}. Upgrade prefect here"
            )
        started, run = seconds_in(event.get("time")), event.get("run")
        if started is None or not isinstance(run, str) or not run_id(run):
            raise RecordError(f"{self._name} is a malformed record: it lacks the run's id or time")
        try:
            check_description(event.get("flow"))
        except FormatError as error:
            reason = str(error).partition(": ")[2] or str(error)
            raise RecordError(
                f"{self._name} is a malformed record, in its description of the flow: {reason}"
            ) from error
        self._last = started
        self._tasks = {task["id"]: _Task() for task in event["flow"]["tasks"]}
        pid = event.get("pid")
        self._head = {
            "run": run,
            "flow": event["flow"],
            "started": started,
            "parameters": parameters_in(event.get("parameters")),
            **{
                name: name_in(event.get(name)) for name in ("executor", "place", "artifact", "host")
            },
            "resumes": run_id(event.get("resumes")),
            "pid": pid if type(pid) is int and 0 < pid < 2**31 else None,
            "versions": versions_in(event.get("versions")),
        }

    def _take_task(self, event: dict[str, Any], time: float) -> bool:
        get = event.get
        state = get("state")
        task = self._task(get("task"), get("map_index"))
        if task is None or type(state) is not str or not _STATE.fullmatch(state):
            return False
        task.state = state
        task.message = message = self._text(get("message")) if "message" in event else ""
        if state == RUNNING:
            _begin_try(task, event, time)
            return True
        traceback = ""
        if len(event) > _USUAL_KEYS:
            traceback = self._take_more(task, event)
            started = get("started")
            if started is not None and not (task.tries and task.tries[-1].ended is None):
                _begin_try(task, event, min(seconds_in(started) or time, time))
        ended = state in ENDED
        if ended:
            task.ended = time
        if (ended or state in _AGAIN) and task.tries and task.tries[-1].ended is None:
            one = task.tries[-1]
            worker = one.worker or name_in(get("worker")) or ""
            task.tries[-1] = Try(
                one.started,
                max(time, one.started),
                state,
                worker,
                one.run_count,
                message,
                traceback,
            )
        return True

    def _take_more(self, task: _Task, event: dict[str, Any]) -> str:
        """Take what few lines have, and return the traceback."""
        traceback = self._text(event.get("traceback"))
        if traceback:
            task.traceback = traceback
        if "result" in event:
            task.result = result_in(event["result"])
        if "why" in event:
            task.why = self._text(event["why"])
        if "inputs" in event:
            task.inputs = texts_in(event["inputs"])
        count = event.get("children")
        if type(count) is int and 0 <= count < LARGEST:
            task.child_count = count
        return traceback

    def _task(self, slug: Any, index: Any) -> _Task | None:
        """Return what is known of a task of the flow, or of a child of it."""
        task = self._tasks.get(slug) if type(slug) is str else None
        if task is None or index is None:
            return task
        if type(index) is not int or not 0 <= index < LARGEST:
            return None
        if task.children is None:
            task.children = {}
        child = task.children.get(index)
        if child is None and self._children < _MOST_CHILDREN:
            self._children += 1
            child = task.children[index] = _Task()
        return child

    def _take_log(self, event: dict[str, Any], time: float) -> bool:
        slug, index = event.get("task"), event.get("map_index")
        if type(slug) is not str or slug not in self._tasks:
            slug = ""
        if type(index) is not int or not 0 <= index < LARGEST:
            index = None
        level, logger = name_in(event.get("level")), name_in(event.get("logger"))
        return self._log(slug, time, level or "", logger or "", event.get("message"), index)

    def _take_output(self, event: dict[str, Any], time: float) -> bool:
        stream = event.get("stream")
        known = stream in {"stdout", "stderr"} if isinstance(stream, str) else False
        return known and self._log("", time, str(stream), "", event.get("text"), None)

    def _log(
        self, slug: str, time: float, level: str, logger: str, message: Any, index: int | None
    ) -> bool:
        if type(message) is not str or self._log_count >= _MOST_LOGS:
            return False
        self._log_count += 1
        line = Log(time, level, logger, self._text(message), index)
        self._logs.setdefault(slug, []).append(line)
        return True

    def _take_code(self, event: dict[str, Any], _: float) -> bool:
        slug = event.get("task")
        if type(slug) is not str or slug not in self._tasks:
            return False
        self._code[slug] = parts = texts_in(event.get("parts"))
        self._room -= sum(len(name) + len(text) for name, text in parts.items())
        if (reads := reads_in(event.get("reads"))) is not None:
            self._reads[slug] = reads
            self._room -= sum(len(digest) + len(text) for digest, text in reads.values())
        return True

    def _take_end(self, event: dict[str, Any], time: float) -> bool:
        state = event.get("state")
        if type(state) is not str or not _STATE.fullmatch(state):
            return False
        self._end = time, state, self._text(event.get("message"))
        return True

    def _text(self, text: Any) -> str:
        """Return a text, or as much of it as is kept: of a traceback the end says most."""
        if type(text) is not str:
            return ""
        if len(text) > _LONGEST_TEXT:
            half = _LONGEST_TEXT // 2
            text = f"{text[:half]}\n…\n{text[-half:]}"
        self._room -= len(text)
        return text if self._room >= 0 else ""


def _begin_try(task: _Task, event: dict[str, Any], time: float) -> None:
    task.ended = None
    if len(task.tries) >= _MOST_TRIES:
        return
    number = event.get("run_count")
    if type(number) is not int or not 0 < number < LARGEST:
        number = len(task.tries) + 1
    task.tries.append(Try(time, None, RUNNING, name_in(event.get("worker")) or "", number, "", ""))

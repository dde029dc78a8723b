"""Writes the record of a run, a line of JSON for each event, while the run goes on.

    {"event": "run", "version": 1, "run": its name, "time", "flow": as it is serialized, "parameters",
     "executor", "place", "artifact", "results_key": the public name of the key with which results are encrypted,
     "resumes": the run that it goes on with, "host", "pid", "versions"}
    {"event": "code", "task": slug, "parts": {what its code consists of: a digest, a version or a type},
     "reads": {what it reads of the context: [a digest, "" of secrets, and its JSON or ""]}}
    {"event": "task", "time", "task": slug, "map_index", "state", "message", "children": of a mapped task,
     "started": of a try that has ended, "run_count", "worker", "traceback", "inputs": {name: digest},
     "why": it ran although its result was stored,
     "result": {"digest", "size", "format", "run": which one stored it}}
    {"event": "log", "time", "level", "logger", "message", "task", "map_index"}
    {"event": "flow", "time", "flow": name, "state", "message"}

Times are in seconds since 1970. What is usual is left out: no map_index but of children, no message of a
success. A task's begin has a line of its own, with the state Running, where the try takes longer than what is
written at a time. The last line is missing where the run was killed, and the one before it may be torn.
Values of secrets are masked.
"""

from __future__ import annotations

import json
import os
import threading
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from prefect.core.state import Failed, Mapped, Retrying, Running, Success
from prefect.core.state_kinds import Cached, kind_name

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from prefect.core.state import State
    from prefect.engine.events import TaskEvent

_SECONDS = 0.05
"""For which lines are collected at most. So much of a record a killed run loses; its results it does not."""
_MOST_LINES = 200
_DIGEST = len("sha256:") + 16
"""Characters of an input's digest, which is compared with those of the same input alone."""
_USUAL = {Success, Mapped, Cached}
"""Whose messages say nothing that the line does not."""
_LONGEST = 1 << 16
"""Characters of a text, of which more is left out."""


class Recorder:
    """A record that is being written. Its calls may come from any thread.

    Args:
        file: that is appended to, unbuffered; it is closed at the end.
        mask: hides values of secrets in a text.
    """

    def __init__(self, file: BinaryIO, mask: Callable[[str], str]) -> None:
        self._file = file
        self._mask = mask
        self._lines: list[str] = []
        self._lock = threading.RLock()
        self._flushed = 0.0
        self._begun: dict[tuple[str, int | None], float] = {}
        self._waker: threading.Thread | None = None
        self._pending = threading.Event()
        self._is_armed = False
        self._closed = False
        self.error: OSError | None = None
        """What kept it from being written on; the run goes on."""

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write what is known of a run before it begins, so that it is there from then on.

        Raises:
            OSError: it cannot be written.
        """
        self._write("run", {"version": 1, **header})
        self._flush()
        if self.error is not None:
            raise self.error

    def code(
        self, task: str, parts: Mapping[str, str], reads: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Write what a task's code consists of, and what it reads of the context."""
        self._write("code", {"task": task, "parts": parts, "reads": reads or {}})

    def on_state(self, event: TaskEvent) -> None:
        """Write a change of a task's state."""
        # Of each task of a run: what is usual is put together here, without steps in between. To write a time as
        # a decimal would take a third of it.
        state, moment, index = event.state, event.time, event.map_index
        place = (event.task_slug, index)
        kind = type(state)
        if kind is Running:
            self._begun[place] = moment
            if not self._is_armed:
                self._arm()
            return
        started = self._begun.pop(place, None)
        context = getattr(state, "_context", None)
        more = "" if not context else _usual(context)
        lines = self._lines
        if more is not None and (kind is Success or kind is Cached):
            child = "" if index is None else f',"map_index":{index}'
            begun = "" if started is None else f',"started":{int(started * 1e6)}e-6'
            lines.append(
                f'{{"event":"task","time":{int(moment * 1e6)}e-6,"task":{_quoted(place[0])}{child}{begun},'
                f'"state":"{kind.__name__}"{more}}}\n'
            )
        else:
            told = self._told(event, state, context or {})
            if started is not None:
                told["started"] = round(started, 6)
            self._write("task", told, moment)
        if moment - self._flushed >= _SECONDS or len(lines) >= _MOST_LINES:
            self._flush()
        if not self._is_armed:
            self._arm()

    def log(self, record: logging.LogRecord, task: str | None, map_index: int | None) -> None:
        """Write what a task or the engine logged."""
        import logging as logging_  # noqa: PLC0415 - slow to import, and there when this is called

        told: dict[str, Any] = {
            "level": record.levelname,
            "logger": record.name,
            "message": self._text(logging_.Formatter("%(message)s").format(record)),
        }
        if task is not None:
            told["task"] = task
        if map_index is not None:
            told["map_index"] = map_index
        self._write("log", told, record.created)
        if record.created - self._flushed >= _SECONDS or len(self._lines) >= _MOST_LINES:
            self._flush()
        if not self._is_armed:
            self._arm()

    def end(self, flow: str, state: State | None) -> None:
        """Write what the flow came to, if that is known, and close the file."""
        if state is not None:
            message = self._text(state.message or "")
            self._write("flow", {"flow": flow, "state": kind_name(state), "message": message})
        with self._lock:
            self._flush()
            self._closed = True
            self._file.close()
        self._pending.set()

    def _told(self, event: TaskEvent, state: State, context: Mapping[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {"task": event.task_slug, "state": kind_name(state)}
        if event.map_index is not None:
            told["map_index"] = event.map_index
        if event.children is not None:
            told["children"] = event.children
        if state.message and type(state) not in _USUAL:
            told["message"] = self._text(state.message)
        if isinstance(state, Retrying):
            told["run_count"] = state.run_count
        if isinstance(state, Failed | Retrying) and state.traceback:
            told["traceback"] = self._text(state.traceback)
        if context:
            self._add(told, context)
        return told

    def _add(self, told: dict[str, Any], context: Mapping[str, Any]) -> None:
        """Add what is known of where and how a task came to its state."""
        if "worker" in context:
            told["worker"] = str(context["worker"])
        if "why" in context:
            told["why"] = self._text(str(context["why"]))
        if "unstored" in context:
            told["unstored"] = self._text(str(context["unstored"]))
        stored = context.get("stored")
        if stored is not None:
            told["result"] = {
                name: stored[name] for name in ("digest", "size", "format", "run") if name in stored
            }
            if "inputs" in stored:
                told["inputs"] = {name: text[:_DIGEST] for name, text in stored["inputs"].items()}

    def _text(self, text: str) -> str:
        masked = self._mask(text)
        return masked if len(masked) <= _LONGEST else f"{masked[:_LONGEST]} …"

    def _write(self, event: str, told: Mapping[str, Any], moment: float | None = None) -> None:
        line = {"event": event, "time": round(time.time() if moment is None else moment, 6), **told}
        self._lines.append(f"{_to_json(line)}\n")

    def _arm(self) -> None:
        """Have a thread write the lines soon."""
        if self._waker is None:
            self._waker = threading.Thread(target=self._wake, name="prefect-record", daemon=True)
            self._waker.start()
        self._is_armed = True
        self._pending.set()

    def _wake(self) -> None:
        while True:
            self._pending.wait()
            time.sleep(_SECONDS)
            self._pending.clear()
            self._is_armed = False  # before it writes: what comes from now on arms it again
            if self._closed:
                return
            self._flush()
            # Of what takes long the begin is not written yet, and nothing else may come.
            if self._begun:
                self._arm()

    def _flush(self) -> None:
        with self._lock:
            if self._closed or self.error is not None:
                return
            self._flushed = time.time()
            for place in list(self._begun):  # what takes long has a line of its own
                begun = self._begun.get(place)
                if begun is not None and self._flushed - begun >= _SECONDS:
                    self._begun.pop(place, None)
                    slug, index = place
                    more = {} if index is None else {"map_index": index}
                    self._write("task", {"task": slug, **more, "state": "Running"}, begun)
            # The list stays the same one: other threads add to its end meanwhile, without the lock.
            lines = self._lines[:]
            if not lines:
                return
            del self._lines[: len(lines)]
            data = "".join(lines).encode("utf-8", "surrogatepass")
            try:
                done = 0
                while done < len(data):
                    done += self._file.write(data[done:])
            except OSError as error:
                self.error = error


def _usual(context: Mapping[str, Any]) -> str | None:
    """Return what most lines of tasks have of a state's context, as JSON; None if there is more."""
    worker, stored = context.get("worker"), context.get("stored")
    if (worker is not None) + (stored is not None) < len(context):
        return None
    text = "" if worker is None else f',"worker":{_quoted(worker)}'
    if stored is None:
        return text
    run, inputs = stored.get("run"), stored.get("inputs")
    if inputs:  # digests, of characters that need no escaping
        given = ",".join([f'{_quoted(n)}:"{each[:_DIGEST]}"' for n, each in inputs.items()])
        text = f'{text},"inputs":{{{given}}}'
    of = "" if run is None else f',"run":{_quoted(run)}'
    return (
        f'{text},"result":{{"digest":"{stored["digest"]}","size":{stored["size"]},'
        f'"format":"{stored["format"]}"{of}}}'
    )


_quoted = lru_cache(maxsize=4096)(json.dumps)
"""A text as JSON has it: of slugs, workers, runs and arguments there are few."""
_to_json = json.JSONEncoder(separators=(",", ":"), default=str).encode


def recorder(path: str, mask: Callable[[str], str]) -> Recorder:
    """Return a record that begins.

    Args:
        path: a file that is not there; its directory is.
        mask: hides values of secrets in a text.

    Raises:
        OSError: it cannot be made.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return Recorder(os.fdopen(handle, "wb", buffering=0), mask)

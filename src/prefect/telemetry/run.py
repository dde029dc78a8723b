"""What is told of a run: a span of it and of each try at a task, and metrics."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self

from prefect.core.context import Scope, current
from prefect.core.labels import Labels
from prefect.core.state_kinds import FAILED, kind_name
from prefect.core.tracebacks import text_of
from prefect.engine.spans import TRACEPARENT, RunSpan, span_number
from prefect.secrets.masking import mask
from prefect.telemetry.providers import flush, provide
from prefect.telemetry.span_ids import SpanIds
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.engine.events import TaskEvent

_UNFINISHED = frozenset({"Pending", "Scheduled", "Paused", "Resume"})
_BOUNDS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 21600, 86400)
"""Of durations, in seconds; by default they are those of milliseconds."""
_LAST_MOMENT = (1 << 63) - 1


def run_told(
    run: Callable[..., State],
    flow: Flow,
    parameters: Any,
    executor: Any,
    on_state: Callable[[TaskEvent], None] | None,
    *more: Any,
) -> State:
    """Run a flow, and tell of it.

    Args:
        run: called with what follows.
        flow: as of `Flow.run`, as all that follows.

    Raises:
        TelemetryError: OpenTelemetry is not installed, or its variables name what is not there.
    """
    with Telemetry(flow.serialize(), on_state) as telemetry:
        state = run(flow, parameters, executor, telemetry.on_state, *more)
        telemetry.end(kind_name(state), state.message)
    return state


class Telemetry:
    """Tells of one run, wherever it is: a context, which ends by sending what is left.

    The run's span is the current one meanwhile, and in tasks that of the try at the task, in any process: spans
    of instrumented code are below it.

    Args:
        flow: serialized.
        on_state: is told of each change of a task's state, too.

    Raises:
        TelemetryError: OpenTelemetry is not installed, or its variables name what is not there.
    """

    def __init__(
        self, flow: Mapping[str, Any], on_state: Callable[[TaskEvent], object] | None = None
    ) -> None:
        provide()
        from opentelemetry import context, metrics, trace  # noqa: PLC0415 - it is there now

        self._trace, self._contexts = trace, context
        self._tracer = trace.get_tracer("prefect", __version__)
        self._ids = SpanIds.of(self._tracer)
        meter = metrics.get_meter("prefect", __version__)
        self._runs = meter.create_histogram(
            "prefect.flow.run.duration", "s", "How long runs of flows took",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )  # fmt: skip
        self._tries = meter.create_histogram(
            "prefect.task.run.duration", "s", "How long tries at tasks took",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )  # fmt: skip
        self._ended = meter.create_counter(
            "prefect.task.runs",
            "{task}",
            "Tasks, and children of mapped ones, by what they came to",
        )
        self._on_state = on_state
        self._has_ended = False
        self._flow = flow["name"]
        self._names = {task["id"]: task["name"] for task in flow["tasks"]}
        self._silent = Labels(flow).silent
        self._count = len(flow["tasks"])
        self._spans: dict[tuple[str, int | None], tuple[Span, float]] = {}
        self._mapped: dict[str, list[Any]] = {}  # the span, and how many children are left
        self._tried: dict[tuple[str, int | None], int] = {}

    def __enter__(self) -> Self:
        self._before = self._contexts.get_current()
        self._began = time.time()
        attributes: dict[str, str | int] = {
            "prefect.flow.name": _sendable(self._flow),
            "prefect.flow.tasks": self._count,
        }
        self._run = self._tracer.start_span(
            _sendable(self._flow),
            self._above(),
            attributes=attributes,
            start_time=_nanoseconds(self._began),
        )
        self._within = self._trace.set_span_in_context(self._run)
        self._contexts.attach(self._within)
        self._told = self._traceparent()
        self._scope = Scope({TRACEPARENT: self._told})
        self._scope.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._scope.__exit__()
        if not self._has_ended:
            error = exc[1] if len(exc) > 1 and isinstance(exc[1], BaseException) else None
            ended = getattr(error, "state", None)
            name = "Unknown" if error is None else type(ended or error).__name__
            told = "nothing was told of its end" if error is None else text_of(error)
            self.end(name, told if ended is None else ended.message)
        self._contexts.attach(self._before)
        flush()

    def _above(self) -> Context | None:
        """Return what has the span that a run is below, if it is not the current one: of another process."""
        told = current().get(TRACEPARENT) or os.environ.get("TRACEPARENT")
        if not told or self._trace.get_current_span().get_span_context().is_valid:
            return None
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - seldom so
            TraceContextTextMapPropagator,
        )

        return TraceContextTextMapPropagator().extract({TRACEPARENT: told})

    def _traceparent(self) -> str:
        span = self._run.get_span_context()
        told = f"00-{span.trace_id:032x}-{span.span_id:016x}-{int(span.trace_flags):02x}"
        return told if self._ids is None else RunSpan(told)

    def on_state(self, event: TaskEvent) -> None:
        """Take a change of a task's state, and pass it on."""
        state = event.state
        error = state.held if isinstance(state.held, BaseException) else None
        self.take(
            event.task_slug,
            event.map_index,
            kind_name(state),
            state.message,
            children=event.children,
            moment=event.time,
            run_count=event.run_count,
            error=error,
            traceback=None if error is None else state.traceback,
        )
        if self._on_state is not None:
            self._on_state(event)

    def take(
        self,
        task: str,
        index: int | None,
        state: str,
        message: str | None,
        *,
        children: int | None = None,
        moment: float,
        run_count: int | None = None,
        error: BaseException | None = None,
        traceback: str | None = None,
    ) -> None:
        """Take a change of a task's state.

        Args:
            task: by its id.
            index: which child of a mapped task it is.
            state: the kind of the new state.
            message: its own.
            children: how many a mapped task has.
            moment: when, in seconds since 1970.
            run_count: which try begins, of one that may have been tried before this run; None where nothing tells.
            error: what a failure came of, if that is known.
            traceback: of that, as text.
        """
        if task in self._silent:
            return
        key = (task, index)
        if state == "Running":
            # One that was paused, makes another pass or was begun anew elsewhere is within the same try still.
            if key not in self._spans and run_count is not None:
                self._tried[key] = run_count - 1
            span, moment = self._spans.get(key) or (self._begin(task, index, moment), moment)
            self._spans[key] = (span, moment)
            self._contexts.attach(self._trace.set_span_in_context(span))
            return
        self._contexts.attach(self._within)
        if state == "Mapped":
            span = self._begin(task, None, moment)
            span.set_attribute("prefect.task.children", children or 0)
            self._mapped[task] = [span, children or 0]
            if not children:
                self._end_mapped(task, moment)
            return
        if state in _UNFINISHED:
            return
        span, began = (
            self._spans.pop(key)
            if key in self._spans
            else (self._begin(task, index, moment), moment)
        )
        attributes = {
            "prefect.flow.name": _sendable(self._flow),
            "prefect.task.name": self._name(task),
        }
        attributes["prefect.task.state"] = state
        span.set_attribute("prefect.task.state", state)
        self._fail(span, state, message, error, traceback)
        span.end(_nanoseconds(moment))
        self._tries.record(max(moment - began, 0.0), attributes)
        if state == "Retrying":
            return
        self._ended.add(1, attributes)
        if index is not None and task in self._mapped:
            self._mapped[task][1] -= 1
            if self._mapped[task][1] <= 0:
                self._end_mapped(task, moment)

    def end(self, state: str, message: str | None) -> None:
        """Take what the run came to."""
        now = time.time()
        self._has_ended = True
        for span, _ in self._spans.values():  # of what was cut off
            span.end(_nanoseconds(now))
        for task in list(self._mapped):
            self._end_mapped(task, now)
        self._spans.clear()
        self._run.set_attribute("prefect.flow.state", state)
        if state not in {"Success", "Skipped"}:
            self._run.set_status(self._trace.StatusCode.ERROR, _sendable(message or state))
        self._run.end(_nanoseconds(now))
        attributes = {"prefect.flow.name": _sendable(self._flow), "prefect.flow.state": state}
        self._runs.record(max(now - self._began, 0.0), attributes)

    def _name(self, task: str) -> str:
        return _sendable(self._names.get(task, task))

    def _begin(self, task: str, index: int | None, moment: float) -> Span:
        mapped = self._mapped.get(task) if index is not None else None
        parent: Context = self._within
        if mapped is not None:
            parent = self._trace.set_span_in_context(mapped[0])
        tried = self._tried[task, index] = self._tried.get((task, index), 0) + 1
        attributes: dict[str, str | int] = {
            "prefect.flow.name": _sendable(self._flow),
            "prefect.task.name": self._name(task),
            "prefect.task.slug": _sendable(task),
            "prefect.task.try": tried,
        }
        if index is not None:
            attributes["prefect.task.map_index"] = index
        if self._ids is not None and isinstance(self._told, RunSpan):
            self._ids.prepare(span_number(self._told.of_try(task, index, tried)))
        return self._tracer.start_span(
            self._name(task), parent, attributes=attributes, start_time=_nanoseconds(moment)
        )

    def _fail(
        self,
        span: Span,
        state: str,
        message: str | None,
        error: BaseException | None,
        traceback: str | None,
    ) -> None:
        """Say of a span what went wrong, if anything did."""
        if state not in FAILED and state != "Retrying":
            return
        span.set_status(self._trace.StatusCode.ERROR, _sendable(message or state))
        if error is not None:
            attributes = {"exception.type": type(error).__qualname__}
            attributes["exception.message"] = _sendable(text_of(error))
            if traceback:
                attributes["exception.stacktrace"] = _sendable(traceback)
            span.add_event("exception", attributes)

    def _end_mapped(self, task: str, moment: float) -> None:
        span, left = self._mapped.pop(task)
        if left > 0:
            span.set_attribute("prefect.task.children_left", left)
        span.end(_nanoseconds(moment))


def _sendable(text: str) -> str:
    """Return text with secrets masked, and as UTF-8 can have it: else what is sent with it is lost, too."""
    return mask(text).encode("utf-8", "backslashreplace").decode()


def _nanoseconds(seconds: float) -> int:
    return min(max(round(seconds * 1e9), 0), _LAST_MOMENT)

"""Which span of OpenTelemetry a try at a task has, wherever it runs: the number of each follows from the run's.

So a worker knows the span below which the spans of a task's own code belong, though another process makes it, and maybe
later. Nothing of OpenTelemetry is imported where no run is told of.
"""

from __future__ import annotations

from contextlib import contextmanager

from prefect.patterns import pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.engine.job import Job

TRACEPARENT = "traceparent"
"""What `prefect.context` has of a span, as W3C's Trace Context writes it: in a task its own."""
_FORM = pattern(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class RunSpan(str):
    """The span of a run whose tasks have spans of these numbers; any other text is somebody else's span."""

    __slots__ = ()

    def of_try(self, task: str, index: int | None, run_count: int) -> str:
        """Return the span of a try at a task.

        Args:
            task: its slug.
            index: which child of a mapped task it is.
            run_count: which try, from 1.
        """
        found = _FORM.fullmatch(self)
        if found is None:
            return str(self)
        from hashlib import sha256  # noqa: PLC0415  # where a run is told of

        text = f"{found[2]} {run_count} {'' if index is None else index} {task}"
        number = sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        return f"00-{found[1]}-{number}-{found[3]}"


def span_number(traceparent: str) -> int:
    """Return the number of a span."""
    return int(traceparent.split("-")[2], 16)


def span_of(job: Job) -> str | None:
    """Return the span of a try; None in a run that is not told of."""
    of_run = job.context.get(TRACEPARENT)
    if type(of_run) is not RunSpan:
        return None
    return of_run.of_try(job.slug, job.map_index, job.run_count)


@contextmanager
def spanned(job: object) -> Iterator[None]:
    """Have a try's span be the current one in a process that has not made it.

    Args:
        job: the `Job`; with anything else nothing is done.
    """
    context = getattr(job, "context", None)
    told = span_of(job) if isinstance(context, dict) else None  # type: ignore[arg-type]  # it is one
    if told is None:
        yield
        return
    try:
        from opentelemetry import context as contexts  # noqa: PLC0415  # where a run is told of
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415  # likewise
            TraceContextTextMapPropagator,
        )
    except ImportError:  # nobody makes spans here
        yield
        return
    token = contexts.attach(TraceContextTextMapPropagator().extract({TRACEPARENT: told}))
    try:
        yield
    finally:
        contexts.detach(token)

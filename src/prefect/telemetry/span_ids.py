"""The numbers of spans: those of tries at tasks follow from the run's, so that workers know them."""

from __future__ import annotations

import threading
from typing import Any


class SpanIds:
    """Gives a tracer's spans the numbers that workers know, and others those that it gives by itself.

    Args:
        given: the tracer's own generator of numbers.
    """

    def __init__(self, given: Any) -> None:
        self._given = given
        self._due = threading.local()  # several runs may have one tracer

    @classmethod
    def of(cls, tracer: Any) -> SpanIds | None:
        """Have a tracer use one; return None of a tracer that has no generator, as only the SDK's do."""
        given = getattr(tracer, "id_generator", None)
        if given is None:
            return None
        if isinstance(given, cls):
            return given
        tracer.id_generator = made = cls(given)
        return made

    def prepare(self, number: int) -> None:
        """Take the number of the span that this thread begins next."""
        self._due.number = number

    def generate_span_id(self) -> int:
        """Return the number that is due."""
        number, self._due.number = getattr(self._due, "number", 0), 0
        return number or int(self._given.generate_span_id())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._given, name)

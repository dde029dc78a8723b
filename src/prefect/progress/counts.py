"""How far a run is: what ended, what runs, how fast it goes, and how long it may take."""

from __future__ import annotations

import time
from collections import Counter, deque

from prefect.core.labels import Labels
from prefect.core.state_kinds import FAILED
from prefect.printable import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    Key: TypeAlias = tuple[str, int | None]

_UNFINISHED = frozenset({"Pending", "Scheduled", "Retrying", "Paused", "Resume"})
_MOST_SLOWEST = 3
_SECONDS_OF_RATE = 10.0
_LEAST_SLOW = 0.1
"""Seconds."""
_FEWEST = 3
"""Children that must have ended before it is said how long the others may take."""


class Mapped:
    """A mapped task whose children are being run."""

    __slots__ = ("began", "children", "cut_off", "ended", "failed")

    def __init__(self, children: int, began: float) -> None:
        self.children = children
        self.began = began
        self.ended = self.failed = self.cut_off = 0

    def left(self, now: float) -> float | None:
        """Return the seconds that the children may take that have not ended, if that can be known."""
        if self.ended < _FEWEST:
            return None
        return (now - self.began) / self.ended * (self.children - self.ended)


class Counts:
    """What a run's events come to, in any order that a run has them in.

    Args:
        flow: serialized.

    Attributes:
        total: how many tasks the flow has that are shown; a mapped one is one of them.
        finished: how many of them have ended.
        states: how many tasks and children have come to each final state; a mapped task is its children.
        running: when each began that runs, in seconds of `time.monotonic`, in that order.
        mapped: the mapped tasks whose children are being run.
        slowest: the seconds of those that took longest, and which these were; longest first.
        silent: the tasks that only have a value, or pass values on: they are not shown, and count where they fail.
        label: gives what a task goes by, or a child of it.
    """

    def __init__(self, flow: Mapping[str, Any]) -> None:
        labels = Labels(flow)
        self.silent = labels.silent
        self.label = labels.of
        self.total = sum(task["id"] not in self.silent for task in flow["tasks"])
        self.finished = 0
        self.states: Counter[str] = Counter()
        self.running: dict[Key, float] = {}
        self.mapped: dict[str, Mapped] = {}
        self.slowest: list[tuple[float, Key]] = []
        self.began = time.monotonic()
        self._ended = 0
        self._samples: deque[tuple[float, int]] = deque([(self.began, 0)])

    def head(self) -> str:
        """Return how far all of it is."""
        parts = [f"{self.finished:,}/{self.total:,} tasks", duration(time.monotonic() - self.began)]
        if rate := self.rate():
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")  # noqa: PLR2004
        if failed := sum(count for state, count in self.states.items() if state in FAILED):
            parts.append(f"{failed:,} failed")
        return ", ".join(parts)

    def parts(self) -> list[tuple[str, Mapped, str]]:
        """Return of each mapped task that runs its name, how far it is, and the same as text."""
        now = time.monotonic()
        found = []
        for task, mapped in self.mapped.items():
            left = mapped.left(now)
            more = "" if left is None else f", {duration(left)} left"
            text = f"{mapped.ended:,}/{mapped.children:,}{more}"
            found.append((self.label(task), mapped, text))
        return found

    def slow(self) -> str:
        """Return which took longest, of those that took their time; nothing if none has."""
        slowest = [pair for pair in self.slowest if pair[0] >= _LEAST_SLOW]
        told = ", ".join(f"{self.label(*key)} {duration(seconds)}" for seconds, key in slowest)
        return f"slowest: {told}" if told else ""

    def first_running(self, most: int) -> tuple[list[tuple[str, float]], int]:
        """Return the first of those that run, each with the seconds that it has, and how many more there are."""
        now = time.monotonic()
        running = [pair for pair in self.running.items() if pair[0][0] not in self.silent]
        first = [(self.label(*key), now - began) for key, began in running[:most]]
        return first, len(running) - len(first)

    def take(
        self, task: str, index: int | None, state: str, children: int | None = None
    ) -> tuple[float | None, Mapped | None]:
        """Take a change of a task's state.

        Args:
            task: by its id.
            index: which child of a mapped task it is.
            state: the kind of the new state.
            children: how many a mapped task has.

        Returns:
            The seconds that it ran, if it did; and the mapped task that has ended by that, if one has.
        """
        now = time.monotonic()
        if state == "Running":
            self.running[task, index] = now
            return None, None
        began = self.running.pop((task, index), None)
        seconds = None if began is None else now - began
        if state == "Mapped":
            self.mapped[task] = Mapped(children or 0, now)
            return None, self._end_of(task)
        if seconds is not None and task not in self.silent:
            self._rank(seconds, (task, index))
        if state in _UNFINISHED:
            return seconds, None
        if task not in self.silent or state in FAILED:
            self.states[state] += 1
            self._ended += 1
            if now - self._samples[-1][0] > _SECONDS_OF_RATE / 20:
                self._sample(now)
        if index is None:
            self.finished += task not in self.silent
            return seconds, None
        if (mapped := self.mapped.get(task)) is None:
            return seconds, None
        mapped.ended += 1
        mapped.failed += state in FAILED
        mapped.cut_off += state == "Cancelled"
        return seconds, self._end_of(task)

    def rate(self) -> float | None:
        """Return how many end in a second, of late; None where too few have for that to be known."""
        now = time.monotonic()
        while len(self._samples) > 1 and self._samples[1][0] < now - _SECONDS_OF_RATE:
            self._samples.popleft()
        then, before = self._samples[0]
        if self._ended - before < _FEWEST or now - then <= 0:
            return None
        return (self._ended - before) / (now - then)

    def _sample(self, now: float) -> None:
        self._samples.append((now, self._ended))

    def _end_of(self, task: str) -> Mapped | None:
        mapped = self.mapped[task]
        if mapped.ended < mapped.children:
            return None
        self.finished += 1
        return self.mapped.pop(task)

    def _rank(self, seconds: float, key: Key) -> None:
        if len(self.slowest) < _MOST_SLOWEST or seconds > self.slowest[-1][0]:
            ranked = [*self.slowest, (seconds, key)]
            self.slowest = sorted(ranked, key=lambda pair: -pair[0])[:_MOST_SLOWEST]

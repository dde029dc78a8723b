"""How far a run is: what ended, what runs, how fast it goes, and how long it may take."""

from __future__ import annotations

import time
from collections import Counter, deque
from contextvars import ContextVar
from typing import NamedTuple

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
_SECONDS_OF_LEFT = 1.0
_LEAST_LEFT = 1.0
"""Seconds."""
_FEWEST = 3
"""Children that must have ended before it is said how long the others may take."""


class Expected(NamedTuple):
    """How long the tasks of a flow took in an earlier run.

    Args:
        seconds: by the id of a task: it, or a child of it on average. What is not known is not there.
        units: by the id of a task: 1, or how many children it had.
        run: the seconds of the whole run.
    """

    seconds: Mapping[str, float]
    units: Mapping[str, int]
    run: float


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


watching: ContextVar[Counts | None] = ContextVar("prefect.watching", default=None)
"""The counts of the run that begins, for who knows what is to be expected of it."""


class Counts:
    """What a run's events come to, in any order that a run has them in.

    Args:
        flow: serialized.

    Attributes:
        total: how many tasks the flow has that are shown; a mapped one is one of them.
        finished: how many of them have ended.
        states: how many tasks and children have come to each final state; a mapped task is its children.
        running: when each began that runs, in seconds of `time.monotonic`, in that order.
        paused: those that are paused.
        mapped: the mapped tasks whose children are being run.
        slowest: the seconds of those that took longest, and which these were; longest first.
        silent: the tasks that only have a value, or pass values on: they are not shown, and count where they fail.
        label: gives what a task goes by, or a child of it.
        expected: how long an earlier run took; None where none is known.
    """

    def __init__(self, flow: Mapping[str, Any]) -> None:
        labels = Labels(flow)
        self.silent = labels.silent
        self.label = labels.of
        self.total = sum(task["id"] not in self.silent for task in flow["tasks"])
        self.finished = 0
        self.states: Counter[str] = Counter()
        self.running: dict[Key, float] = {}
        self.paused: set[Key] = set()
        self.mapped: dict[str, Mapped] = {}
        self.slowest: list[tuple[float, Key]] = []
        self.began = time.monotonic()
        self.expected: Expected | None = None
        self._left = dict.fromkeys(
            task["id"] for task in flow["tasks"] if task["id"] not in self.silent
        )
        self._worked: Counter[str] = Counter()  # how many units of a task have run
        self._known: tuple[float, float | None] = (self.began - _SECONDS_OF_LEFT, None)
        self._ended = 0
        self._samples: deque[tuple[float, int]] = deque([(self.began, 0)])

    def head(self) -> str:
        """Return how far all of it is."""
        parts = [f"{self.finished:,}/{self.total:,} tasks", duration(time.monotonic() - self.began)]
        if rate := self.rate():
            parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")  # noqa: PLR2004
        if (left := self.left()) is not None and left >= _LEAST_LEFT:
            parts.append(f"about {duration(left)} left")
        if failed := sum(count for state, count in self.states.items() if state in FAILED):
            parts.append(f"{failed:,} failed")
        if self.paused:
            parts.append(f"{len(self.paused):,} paused")
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

    def left(self) -> float | None:
        """Return the seconds that the rest of the run may take, if that can be known.

        It is from an earlier run's durations, at the pace of this one; without them, where nothing is left but mapped
        tasks of whose children some have ended.
        """
        now = time.monotonic()
        if now - self._known[0] >= _SECONDS_OF_LEFT:
            self._known = now, self._estimated(now)
        return self._known[1]

    def _estimated(self, now: float) -> float | None:
        if self.expected is None:
            parts = [mapped.left(now) for mapped in self.mapped.values()]
            known = [part for part in parts if part is not None]
            if not known or len(known) < len(parts) or len(parts) < self.total - self.finished:
                return None
            return max(known)
        seconds, units, run = self.expected
        left = 0.0
        for task in self._left:
            mapped = self.mapped.get(task)
            if task not in seconds or (mapped is None and task not in units):
                return None
            left += seconds[task] * (
                units[task] if mapped is None else mapped.children - mapped.ended
            )
        begun = 0.0
        for (task, _), began in self.running.items():
            begun += min(now - began, seconds.get(task, 0.0))
        done = begun + sum(seconds.get(task, 0.0) * count for task, count in self._worked.items())
        whole = sum(seconds[task] * units[task] for task in seconds)
        if not whole:
            return None
        # Of its beginning alone nobody knows how many run at a time.
        pace = (now - self.began) / done if done >= whole / 10 else run / whole
        return max(left - begun, 0.0) * pace

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
        change = self.paused.add if state == "Paused" else self.paused.discard
        change((task, index))
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
        if seconds is not None:
            self._worked[task] += 1
        if task not in self.silent or state in FAILED:
            self.states[state] += 1
            self._ended += 1
            if now - self._samples[-1][0] > _SECONDS_OF_RATE / 20:
                self._sample(now)
        if index is None:
            self._left.pop(task, None)
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
        self._left.pop(task, None)
        return self.mapped.pop(task)

    def _rank(self, seconds: float, key: Key) -> None:
        if len(self.slowest) < _MOST_SLOWEST or seconds > self.slowest[-1][0]:
            ranked = [*self.slowest, (seconds, key)]
            self.slowest = sorted(ranked, key=lambda pair: -pair[0])[:_MOST_SLOWEST]

"""How many tasks of a run came to what, and how often they were tried, as every view of a run tells it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prefect.core.labels import Labels
from prefect.records.run import FAILED, LOOPED, PENDING, RETRYING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prefect.records.run import Run, TaskRun


def counts_of(run: Run) -> Counter[str]:
    """Count what the tasks of a run came to; a mapped task is its children, and a parameter is none."""
    counts: Counter[str] = Counter()
    for _, task in told_of(run):
        counts.update(_counted(task))
    return counts


def told_of(run: Run) -> Iterator[tuple[str, TaskRun]]:
    """Yield the tasks of which people are told, by slug: those that only have a value where they failed."""
    silent = Labels(run.flow).silent
    for slug, task in run.tasks.items():
        if slug not in silent or task.state in FAILED:
            yield slug, task


def states_of(task: TaskRun) -> Counter[str]:
    """Count what a task, or its children, came to; one that was mapped over nothing succeeded."""
    return _counted(task) or Counter(["Success"])


def _counted(task: TaskRun) -> Counter[str]:
    counts = Counter(one.state for _, one in task.units())
    if task.missing:
        counts[PENDING] += task.missing
    return counts


def counts_text(counts: Mapping[str, int]) -> str:
    """Return counts of states as people read them, the largest first."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count:,} {state}" for state, count in ordered)


def tries_text(tasks: Iterable[TaskRun]) -> str:
    """Return how often tasks were tried again, and how often they looped; "" where none did."""
    states = Counter(one.state for task in tasks for one in task.tries)
    told = []
    if states[RETRYING]:
        told.append(f"{states[RETRYING]:,} tried again")
    if states[LOOPED]:
        told.append(f"{states[LOOPED]:,} looped")
    return ", ".join(told)

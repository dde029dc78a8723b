"""Triggers decide, from the states of a task's upstream tasks, whether it runs.

A trigger takes a dict of Edge to State and returns whether to run; instead of False it may raise
a signal, usually TRIGGERFAIL with a reason. Any function of that kind will do. The children of a
mapped upstream task count one by one. A task without upstream tasks always runs.
"""

from __future__ import annotations

from prefect.core.signals import PAUSE, SKIP, TRIGGERFAIL
from prefect.core.state import Mapped, StateCounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from prefect.core.graph import Edge
    from prefect.core.state import State

    UpstreamStates: TypeAlias = Mapping[Edge, State]
    Trigger: TypeAlias = Callable[[UpstreamStates], bool]


def all_successful(upstream_states: UpstreamStates) -> bool:
    """Run if every upstream task succeeded or was skipped: the default."""
    counts = count_states(upstream_states)
    if counts.successful < counts.total:
        raise TRIGGERFAIL("not every upstream task succeeded")
    return True


def all_failed(upstream_states: UpstreamStates) -> bool:
    """Run if every upstream task failed."""
    counts = count_states(upstream_states)
    if counts.failed < counts.total:
        raise TRIGGERFAIL("not every upstream task failed")
    return True


def any_successful(upstream_states: UpstreamStates) -> bool:
    """Run if at least one upstream task succeeded or was skipped."""
    counts = count_states(upstream_states)
    if counts.total and not counts.successful:
        raise TRIGGERFAIL("no upstream task succeeded")
    return True


def any_failed(upstream_states: UpstreamStates) -> bool:
    """Run if at least one upstream task failed."""
    counts = count_states(upstream_states)
    if counts.total and not counts.failed:
        raise TRIGGERFAIL("no upstream task failed")
    return True


def all_finished(upstream_states: UpstreamStates) -> bool:  # noqa: ARG001  # they have finished
    """Run whatever became of the upstream tasks."""
    return True


always_run = all_finished


def manual_only(upstream_states: UpstreamStates) -> bool:  # noqa: ARG001  # somebody decides
    """Run when somebody says so, at the terminal where the flow runs; elsewhere it fails, and says so."""
    raise PAUSE("its trigger is manual_only")


def not_all_skipped(upstream_states: UpstreamStates) -> bool:
    """Run if every upstream task succeeded; be skipped if all were.

    For a task with `skip_on_upstream_skip=False` that joins branches of which some are skipped.
    """
    counts = count_states(upstream_states)
    if counts.total and counts.skipped == counts.total:
        raise SKIP("every upstream task was skipped")
    if counts.successful < counts.total:
        raise TRIGGERFAIL("not every upstream task succeeded")
    return True


def some_successful(
    at_least: float | None = None, at_most: float | None = None
) -> Callable[[UpstreamStates], bool]:
    """Return a trigger: run if so many upstream tasks succeeded or were skipped.

    Args:
        at_least: a number of tasks, or a share if it is a float from 0 to 1.
        at_most: likewise.

    Raises:
        ValueError: neither is given, or one is not such a number.
    """
    return Threshold("some_successful", at_least, at_most)


def some_failed(
    at_least: float | None = None, at_most: float | None = None
) -> Callable[[UpstreamStates], bool]:
    """Return a trigger: run if so many upstream tasks failed.

    Args:
        at_least: a number of tasks, or a share if it is a float from 0 to 1.
        at_most: likewise.

    Raises:
        ValueError: neither is given, or one is not such a number.
    """
    return Threshold("some_failed", at_least, at_most)


class Threshold:
    """A trigger that counts. A class, not a closure, so that plain pickle can take it."""

    def __init__(self, name: str, at_least: float | None, at_most: float | None) -> None:
        if at_least is None and at_most is None:
            raise ValueError(f"{name} needs at_least or at_most")
        for bound in (at_least, at_most):
            if not (bound is None or _is_bound(bound)):
                raise ValueError(
                    f"{name} takes whole numbers of tasks or shares from 0.0 to 1.0, not {bound!r}"
                )
        self.__name__ = name
        self.at_least = at_least
        self.at_most = at_most

    def __call__(self, upstream_states: UpstreamStates) -> bool:
        """Count, and raise TRIGGERFAIL if it is too few or too many."""
        counts = count_states(upstream_states)
        total = counts.total
        if not total:
            return True
        if self.__name__ == "some_failed":
            word, count = "failed", counts.failed
        else:
            word, count = "succeeded", counts.successful
        told = f"{count} of {total} upstream tasks {word}"
        if self.at_least is not None and _measure(count, total, self.at_least) < self.at_least:
            raise TRIGGERFAIL(f"{told}, fewer than {self.at_least}")
        if self.at_most is not None and _measure(count, total, self.at_most) > self.at_most:
            raise TRIGGERFAIL(f"{told}, more than {self.at_most}")
        return True

    def __repr__(self) -> str:
        return f"{self.__name__}(at_least={self.at_least}, at_most={self.at_most})"


def count_states(upstream_states: UpstreamStates) -> StateCounts:
    """Count the upstream states, those of mapped children in place of their parent's."""
    counts = StateCounts()
    for state in upstream_states.values():
        if isinstance(state, Mapped):
            counts.add(state.counts())
        else:
            counts.count(state)
    return counts


def _is_bound(value: object) -> bool:
    if isinstance(value, float):
        return 0.0 <= value <= 1.0
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _measure(count: int, total: int, bound: float) -> float:
    """Return the count in the unit of the bound: tasks, or a share of them."""
    return count if isinstance(bound, int) else count / total

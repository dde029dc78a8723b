"""How many of what a task ran as came to each state: one, or as many as children of a mapped task."""

from __future__ import annotations

from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    from prefect.core.state import State
    from prefect.core.task import Task

    Counts: TypeAlias = Mapping[str, int]

WORST_FIRST = ("Failed", "TimedOut", "ValidationFailed", "TriggerFailed", "Cancelled")


def children(state: State) -> list[State]:
    """Return the states of the children of a mapped task; none of another one."""
    found: list[State] = getattr(state, "map_states", [])
    return found


def counts(states: Iterable[State]) -> dict[str, int]:
    """Return how many there are of each kind, the most first."""
    found: dict[str, int] = {}
    for state in states:
        kind = type(state).__name__
        found[kind] = found.get(kind, 0) + 1
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def counts_of_tasks(state: State, slugs: Mapping[Task, str]) -> dict[str, dict[str, int]]:
    """Return those of each task of a flow's state, whether that has them by tasks or by slugs, by its slug.

    Raises:
        FlowError: it has no states of tasks, or of none of these.
    """
    states = state.held
    if not isinstance(states, dict):
        told = f"{state!r} has no states of tasks: give the state that flow.run() returned"
        raise FlowError(told)
    of_each = {slug: states.get(task, states.get(slug)) for task, slug in slugs.items()}
    found = {
        slug: counts(children(each) or [each]) for slug, each in of_each.items() if each is not None
    }
    if states and slugs and not found:
        named = next(iter(states))
        raise FlowError(
            f"The state is of another flow: it has {getattr(named, 'name', named)!r}, and no task of this one. Give the "
            "state that this flow's run() returned"
        )
    return found


def worst(found: Counts) -> str:
    """Return the kind that counts of a task are coloured by: the worst, else the most frequent."""
    return next((kind for kind in WORST_FIRST if kind in found), next(iter(found)))

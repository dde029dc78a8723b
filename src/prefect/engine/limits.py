"""Limits by tag, and of resources: how much of what runs at a time."""

from __future__ import annotations

from collections import deque

from prefect.engine import logs
from prefect.errors import ExecutorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prefect.core.task import Task
    from prefect.engine.executors.base import Session
    from prefect.engine.nodes import Node


def check_limits(tasks: Iterable[Task], limits: Mapping[str, int], session: Session) -> None:
    """See whether what tasks need is known to be there, and whether limits hold for any.

    Raises:
        ExecutorError: it is not, and a task could never run, or beside any number of others.
    """
    _require_resources(tasks, limits, session)
    _warn_of_idle(tasks, limits)


def _require_resources(tasks: Iterable[Task], limits: Mapping[str, int], session: Session) -> None:
    # A cluster is asked once for all tasks that need as much.
    asked: dict[tuple[str, int], bool | None] = {}
    for task in tasks:
        for needs in (task.resources or {}).items():
            name, amount = needs
            if needs not in asked:
                asked[needs] = session.has(name, amount)
            there, has = limits.get(name), asked[needs]
            if has is False:
                raise ExecutorError(
                    f"Task {task.name!r} needs {amount} {name}, and no worker of the Dask cluster has as "
                    f"much: start one with `dask worker --resources {name}={amount}`"
                )
            if there is None and has is None:
                raise ExecutorError(
                    f"Task {task.name!r} needs {amount} {name}, and nobody says how much there is: run the "
                    f"flow with limits={{{name!r}: {amount}}}, or on a Dask cluster whose workers have it "
                    f"(`dask worker --resources {name}={amount}`)"
                )
            if there is not None and there < amount:
                raise ExecutorError(
                    f"Task {task.name!r} needs {amount} {name}, and limits allow {there}"
                )


def _warn_of_idle(tasks: Iterable[Task], limits: Mapping[str, int]) -> None:
    # They are misspelt, perhaps.
    tags: set[str] = set().union(*(task.tags for task in tasks))
    held = tags.union(*(task.resources or () for task in tasks))
    if idle := sorted(limits.keys() - held):
        logs.warning(
            "The limit of %s holds nothing back: no task has such a tag or needs such a resource%s",
            " and of ".join(map(repr, idle)),
            f"; tags are {', '.join(map(repr, sorted(tags)))}" if tags else "",
        )


class Limits:
    """Keeps nodes back until there is room for them.

    Args:
        limits: the numbers, from 1: of tasks that have a tag of that name, and of what tasks need.
        ready: where nodes go that may be tried again; the last is taken first.
    """

    def __init__(self, limits: Mapping[str, int], ready: deque[Node]) -> None:
        self._free = dict(limits)
        self._ready = ready
        self._waiting: dict[str, deque[Node]] = {name: deque() for name in limits}

    def admit(self, node: Node) -> bool:
        """Tell whether a node may begin, and count it; else it waits here."""
        taken = self._taken(node)
        full = next((name for name, amount in taken.items() if self._free[name] < amount), None)
        if full is None:
            for name, amount in taken.items():
                self._free[name] -= amount
        else:
            self._waiting[full].append(node)
        for name in taken:  # what it does not take another may
            self._wake(name)
        return full is None

    def leave(self, node: Node) -> None:
        """Count a node no more, which was admitted."""
        for name, amount in self._taken(node).items():
            self._free[name] += amount
            self._wake(name)

    def waiting(self) -> Iterator[Node]:
        """Go through the nodes that are kept back."""
        for nodes in self._waiting.values():
            yield from nodes

    def _wake(self, name: str) -> None:
        waiting = self._waiting[name]
        if waiting and self._free[name] >= self._taken(waiting[0])[name]:
            self._ready.append(waiting.popleft())

    def _taken(self, node: Node) -> dict[str, int]:
        """Return how much a node takes of what is limited."""
        if node.mapped:
            return {}  # it does nothing: its children do
        task = node.step.task
        taken = {name: 1 for name in self._free if name in task.tags}
        if task.resources is not None:
            taken |= {name: amount for name, amount in task.resources.items() if name in self._free}
        return taken

"""The graph inside a flow: tasks, edges, and the orders in which they can be gone through.

Everything is in order of addition, never of hashes, so that a flow looks the same in every
process. Tasks do not refer to each other: however deep the graph, pickling it does not recurse.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from prefect.core.edge import Edge
from prefect.core.task import Task
from prefect.errors import CycleError, DuplicateNameError, FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Graph:
    """Tasks with their positions, edges, and the edges into and out of each task."""

    def __init__(self) -> None:
        self.tasks: dict[Task, int] = {}
        self.edges: dict[Edge, None] = {}
        self.incoming: dict[Task, list[Edge]] = {}
        self.outgoing: dict[Task, list[Edge]] = {}
        self._named: dict[str, Task] = {}
        self._inputs: dict[tuple[Task, str | Task], Edge] = {}
        self._order: list[Task] | None = []

    def add_task(self, task: Task) -> None:
        """Add a task, unless it is there.

        Raises:
            DuplicateNameError: another one has the same slug.
            FlowError: its constructor has not been run.
            TypeError: it is not a task.

        """
        if task in self.tasks:
            return
        if not isinstance(task, Task):
            hint = ": call it to make one" if isinstance(task, type) else ""
            raise TypeError(f"a flow is made of tasks, not {task!r}{hint}")
        if "name" not in task.__dict__:
            raise FlowError(
                f"the __init__ of {type(task).__name__} must call super().__init__(**kwargs)"
            )
        if task.slug is not None:
            if task.slug in self._named:
                raise DuplicateNameError(
                    f"two tasks have the slug {task.slug!r} (a parameter's slug is its name): "
                    f"{self._named[task.slug]!r} and {task!r}"
                )
            self._named[task.slug] = task
        self.tasks[task] = len(self.tasks)
        self.incoming[task] = []
        self.outgoing[task] = []
        if self._order is not None:
            self._order.append(task)

    def add_edge(self, edge: Edge) -> None:
        """Add an edge and its tasks, unless it is there.

        Raises:
            CycleError: the edge ends where it starts. Longer cycles are found by `order`.
            DuplicateNameError: another task has the same slug as one of them.
            FlowError: it contradicts another edge.

        """
        upstream, downstream, key, _ = edge
        slot = (downstream, upstream if key is None else key)
        present = self._inputs.get(slot)
        if present is not None:
            if present == edge:
                return
            if key is None:
                raise FlowError(f"{present!r} is there already, mapped differently")
            raise FlowError(
                f"argument {key!r} of task {downstream.name!r} is given twice: by "
                f"{present.upstream_task.name!r} and {upstream.name!r}"
            )
        if upstream is downstream:
            raise CycleError(f"{upstream.name} -> {upstream.name}")
        self.add_task(upstream)
        self.add_task(downstream)
        self._inputs[slot] = edge
        self.edges[edge] = None
        self.incoming[downstream].append(edge)
        self.outgoing[upstream].append(edge)
        if self.tasks[upstream] > self.tasks[downstream]:
            self._order = None

    def has_input(self, task: Task, key: str) -> bool:
        """Whether an edge gives this argument of a task."""
        return (task, key) in self._inputs

    def order(self) -> list[Task]:
        """Return the tasks so that each comes after those it depends on.

        Otherwise as they were added, as far as that is possible.

        Raises:
            CycleError: some depend on each other; the message names them.

        """
        if self._order is None:
            self._order = self._sort()
        return self._order

    def slugs(self) -> dict[Task, str]:
        """Return what identifies each task: its own slug, or `name-number` in order of addition."""
        slugs: dict[Task, str] = {}
        numbers: dict[str, int] = {}
        taken = {task.slug for task in self.tasks if task.slug is not None}
        for task in self.tasks:
            if task.slug is not None:
                slugs[task] = task.slug
                continue
            number = numbers.get(task.name, 0) + 1
            while f"{task.name}-{number}" in taken:
                number += 1
            numbers[task.name] = number
            slugs[task] = f"{task.name}-{number}"
            taken.add(slugs[task])
        return slugs

    def _sort(self) -> list[Task]:
        tasks = list(self.tasks)
        waiting = [len(self.incoming[task]) for task in tasks]
        ready = [position for position, count in enumerate(waiting) if not count]
        heapify(ready)
        order = []
        while ready:
            task = tasks[heappop(ready)]
            order.append(task)
            for edge in self.outgoing[task]:
                position = self.tasks[edge.downstream_task]
                waiting[position] -= 1
                if not waiting[position]:
                    heappush(ready, position)
        if len(order) < len(tasks):
            raise CycleError(self._describe_cycle(set(tasks).difference(order)))
        return order

    def _describe_cycle(self, blocked: set[Task]) -> str:
        """Name one cycle, starting from the task in it that was added first."""
        # Each blocked task waits for another blocked one: going upstream must come round.
        task = min(blocked, key=self.tasks.__getitem__)
        path: dict[Task, None] = {}
        while task not in path:
            path[task] = None
            task = next(e.upstream_task for e in self.incoming[task] if e.upstream_task in blocked)
        cycle = list(path)[list(path).index(task) :][::-1]
        first = cycle.index(min(cycle, key=self.tasks.__getitem__))
        cycle = cycle[first:] + cycle[:first]
        return " -> ".join(task.name for task in [*cycle, cycle[0]])

    @classmethod
    def of(cls, tasks: Iterable[Task], edges: Iterable[Edge]) -> Graph:
        """Make a graph."""
        graph = cls()
        for task in tasks:
            graph.add_task(task)
        for edge in edges:
            graph.add_edge(edge)
        return graph

    def replaced(self, old: Task, new: Task) -> Graph:
        """Return a graph with one task in the place of another."""
        ends = {old: new}
        return Graph.of(
            (ends.get(task, task) for task in self.tasks),
            (Edge(ends.get(up, up), ends.get(down, down), k, m) for up, down, k, m in self.edges),
        )

    # Pickled as a flat table, which is smaller and faster than what it is looked up by.

    def __getstate__(self) -> dict[str, Any]:
        number = self.tasks
        return {
            "tasks": list(number),
            "edges": [(number[up], number[down], key, m) for up, down, key, m in self.edges],
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        tasks = state["tasks"]
        edges = (Edge(tasks[up], tasks[down], key, m) for up, down, key, m in state["edges"])
        self.__dict__.update(Graph.of(tasks, edges).__dict__)

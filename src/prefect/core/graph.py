"""The graph inside a flow: tasks, edges, and the orders in which they can be gone through.

Everything is in order of addition, never of hashes, so that a flow looks the same in every
process. Tasks do not refer to each other: however deep the graph, pickling it does not recurse.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from prefect.core import check
from prefect.core.task import Task
from prefect.errors import CycleError, DuplicateNameError, FlowError
from prefect.unsupported import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Self


class Edge(tuple[Task, Task, "str | None", bool]):
    """An arrow from a task to one that waits for it.

    Immutable, and equal to another between the same tasks with the same key. A tuple, so that
    comparing and hashing cost nothing where there are ten thousands.

    Args:
        upstream_task: the task that comes first.
        downstream_task: the task that waits.
        key: the argument of the downstream task that takes the upstream's result, or None if
            only the order matters.
        mapped: whether the downstream task runs once for each item of the upstream's result.
        flattened: False; a flow makes of another an edge from a task that flattens.

    Raises:
        TypeError: an argument is of the wrong type.
        UnsupportedError: it is to be flattened by itself.
    """

    __slots__ = ()
    flattened = False

    def __new__(
        cls,
        upstream_task: Task,
        downstream_task: Task,
        key: str | None = None,
        mapped: bool = False,
        flattened: bool = False,
    ) -> Self:
        """Check the arguments and make the tuple."""
        ends: tuple[Any, Any] = (upstream_task, downstream_task)
        if not (isinstance(ends[0], Task) and isinstance(ends[1], Task)):
            other = ends[1] if isinstance(ends[0], Task) else ends[0]
            raise check.wrong("An edge connects two tasks, and each", "a Task", other)
        name: Any = key
        if not (name is None or isinstance(name, str)):
            raise check.wrong("An edge's key", "the name of an argument", name)
        if mapped is not False:
            check.flag("mapped", mapped)
        if flattened is not False and check.flag("flattened", flattened):
            refuse("prefect.core.Edge.flattened")
        return tuple.__new__(cls, (upstream_task, downstream_task, key, mapped))

    def __getnewargs__(self) -> tuple[Task, Task, str | None, bool]:
        return (self[0], self[1], self[2], self[3])

    @property
    def upstream_task(self) -> Task:
        """The task that comes first."""
        return self[0]

    @property
    def downstream_task(self) -> Task:
        """The task that waits."""
        return self[1]

    @property
    def key(self) -> str | None:
        """The argument that takes the upstream's result, or None."""
        return self[2]

    @property
    def mapped(self) -> bool:
        """Whether the downstream task runs once for each item of the upstream's result."""
        return self[3]

    @property
    def tasks(self) -> tuple[Task, Task]:
        """Both tasks, upstream first."""
        return (self[0], self[1])

    def __repr__(self) -> str:
        arrow = f" as {self.key}" if self.key else ""
        kind = "Mapped edge" if self.mapped else "Edge"
        return f"<{kind}: {self.upstream_task.name} -> {self.downstream_task.name}{arrow}>"


_FEW = 8
"""Edges into a task up to which to go through them is as quick as to look one up."""


def _append(edges: dict[Task, Sequence[Edge]], task: Task, edge: Edge) -> None:
    if present := edges[task]:
        present.append(edge)  # type: ignore[attr-defined]  # then it is a list
    else:
        edges[task] = [edge]


class Graph:
    """Tasks with their positions, edges, and the edges into and out of each task."""

    def __init__(self) -> None:
        self.tasks: dict[Task, int] = {}
        self.edges: dict[Edge, None] = {}
        # Lists where there is something in them.
        self.incoming: dict[Task, Sequence[Edge]] = {}
        self.outgoing: dict[Task, Sequence[Edge]] = {}
        self._named: dict[str, Task] = {}
        self._many: dict[Task, dict[str | Task, Edge]] = {}
        """The edges of a task into which many lead, by what they give."""
        self._order: list[Task] | None = []

    def add_task(self, task: Task) -> None:
        """Add a task, unless it is there.

        Raises:
            DuplicateNameError: another one has the same slug.
            FlowError: its constructor has not been run.
            TypeError: it is not a task.
        """
        if not isinstance(task, Task):
            hint = " (of a class, call it to make one)" if isinstance(task, type) else ""
            raise check.wrong(f"A flow is made of tasks{hint}, and each", "a Task", task)
        if task in self.tasks:
            return
        if "name" not in task.__dict__:
            raise FlowError(
                f"The __init__ of {type(task).__name__} must call super().__init__(**kwargs)"
            )
        if task.slug is not None:
            if task.slug in self._named:
                raise DuplicateNameError(
                    f"Two tasks have the slug {task.slug!r} (a parameter's slug is its name): "
                    f"{self._named[task.slug]!r} and {task!r}"
                )
            self._named[task.slug] = task
        self.tasks[task] = len(self.tasks)
        self.incoming[task] = self.outgoing[task] = ()
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
        slot = upstream if key is None else key
        if (present := self._edge_of(downstream, slot)) is not None:
            if present == edge:
                return
            if key is None:
                raise FlowError(f"{present!r} is there already, mapped differently")
            raise FlowError(
                f"Argument {key!r} of task {downstream.name!r} is given twice: by "
                f"{present.upstream_task.name!r} and {upstream.name!r}"
            )
        if upstream is downstream:
            raise CycleError(f"{upstream.name} -> {upstream.name}")
        tasks = self.tasks
        if upstream not in tasks:
            self.add_task(upstream)
        if downstream not in tasks:
            self.add_task(downstream)
        self.edges[edge] = None
        _append(self.incoming, downstream, edge)
        _append(self.outgoing, upstream, edge)
        if downstream in self._many:
            self._many[downstream][slot] = edge
        if tasks[upstream] > tasks[downstream]:
            self._order = None

    def has_input(self, task: Task, key: str) -> bool:
        """Whether an edge gives this argument of a task."""
        return self._edge_of(task, key) is not None

    def _edge_of(self, task: Task, slot: str | Task) -> Edge | None:
        """Return the edge that gives an argument of a task, or has it wait for another."""
        edges = self.incoming.get(task, ())
        if len(edges) <= _FEW:
            for edge in edges:
                if slot == (edge[0] if edge[2] is None else edge[2]):
                    return edge
            return None
        if task not in self._many:
            self._many[task] = {edge[0] if edge[2] is None else edge[2]: edge for edge in edges}
        return self._many[task].get(slot)

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
        for task in self.tasks:
            slug = task.slug
            if slug is None:
                name = task.name
                number = numbers.get(name, 0) + 1
                slug = f"{name}-{number}"
                while slug in self._named:
                    number += 1
                    slug = f"{name}-{number}"
                numbers[name] = number
            slugs[task] = slug
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

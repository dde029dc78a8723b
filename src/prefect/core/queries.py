"""What can be asked of a flow."""

from __future__ import annotations

from prefect.core import check
from prefect.core.operators import Operators
from prefect.core.parameter import Parameter
from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, KeysView, Sequence
    from typing import Any

    from prefect.core.graph import Edge, Graph
    from prefect.core.task import Task


class FlowQueries:
    """The half of a flow that only reads.

    All collections are in order of addition. Those that are sets in spirit are views of dicts:
    they compare to sets.
    """

    name: str
    _graph: Graph
    if TYPE_CHECKING:

        def serialize(self, build: bool = False) -> dict[str, Any]:
            """Describe the flow in plain JSON values."""

    _reference_tasks: list[Task]

    @property
    def tasks(self) -> KeysView[Task]:
        """All tasks."""
        return self._graph.tasks.keys()

    @property
    def edges(self) -> KeysView[Edge]:
        """All edges."""
        return self._graph.edges.keys()

    @property
    def slugs(self) -> dict[Task, str]:
        """What identifies each task: its slug, or its name and a number in order of addition."""
        return self._graph.slugs()

    def position(self, task: Task) -> int:
        """Return how many tasks were added before this one; all, if it is not in the flow."""
        return self._graph.tasks.get(task, len(self._graph.tasks))

    def parameters(self, only_required: bool = False) -> KeysView[Parameter]:
        """Return the flow's parameters, or those without a default."""
        found = (task for task in self.tasks if isinstance(task, Parameter))
        return dict.fromkeys(p for p in found if p.required or not only_required).keys()

    def get_tasks(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        task_type: type[Task] | None = None,
    ) -> list[Task]:
        """Return the tasks that have this name, slug and type, and all these tags."""
        wanted = check.tags(tags)
        slugs = {} if slug is None else self.slugs
        return [
            task
            for task in self.tasks
            if (name is None or task.name == name)
            and (slug is None or slugs[task] == slug)
            and wanted <= task.tags
            and (task_type is None or isinstance(task, task_type))
        ]

    def sorted_tasks(self, root_tasks: Iterable[Task] | None = None) -> tuple[Task, ...]:
        """Return the tasks so that each comes after those it depends on.

        Args:
            root_tasks: only these, and those that depend on them.

        Raises:
            CycleError: some depend on each other; the message names them.
            FlowError: one of the root tasks is not in the flow.
        """
        if root_tasks is None:
            return tuple(self._graph.order())
        found = {self._member(task) for task in check.listed("root_tasks", "tasks", root_tasks)}
        for task in self._graph.order():
            if any(edge[0] in found for edge in self._graph.incoming[task]):
                found.add(task)
        return tuple(task for task in self._graph.order() if task in found)

    def tasks_with_edges(self) -> Iterator[tuple[Task, Sequence[Edge]]]:
        """Return the tasks in that order, each with the edges that end at it.

        Raises:
            CycleError: some depend on each other; the message names them.
        """
        incoming = self._graph.incoming
        return ((task, incoming[task]) for task in self._graph.order())

    def root_tasks(self) -> KeysView[Task]:
        """Return the tasks that depend on no other."""
        return dict.fromkeys([t for t, edges in self._graph.incoming.items() if not edges]).keys()

    def terminal_tasks(self) -> KeysView[Task]:
        """Return the tasks on which no other depends."""
        return dict.fromkeys([t for t, edges in self._graph.outgoing.items() if not edges]).keys()

    def edges_to(self, task: Task) -> KeysView[Edge]:
        """Return the edges that end at a task."""
        return dict.fromkeys(self._graph.incoming[self._member(task)]).keys()

    def edges_from(self, task: Task) -> KeysView[Edge]:
        """Return the edges that start from a task."""
        return dict.fromkeys(self._graph.outgoing[self._member(task)]).keys()

    def all_upstream_edges(self) -> dict[Task, set[Edge]]:
        """Return the edges that end at each task."""
        return {task: set(edges) for task, edges in self._graph.incoming.items()}

    def all_downstream_edges(self) -> dict[Task, set[Edge]]:
        """Return the edges that start from each task."""
        return {task: set(edges) for task, edges in self._graph.outgoing.items()}

    def serialized_hash(self, build: bool = False) -> str:
        """Return the SHA-256, in hexadecimal digits, of what `serialize` describes.

        Args:
            build: False, as of `serialize`.
        """
        import hashlib  # noqa: PLC0415  # seldom needed
        import json  # noqa: PLC0415

        text = json.dumps(self.serialize(build), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FlowQueries):
            return NotImplemented
        return self is other or (
            (type(self), self.name, self.tasks, self.edges)
            == (type(other), other.name, other.tasks, other.edges)
            and self.reference_tasks() == other.reference_tasks()
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def upstream_tasks(self, task: Task) -> KeysView[Task]:
        """Return the tasks that a task directly depends on."""
        return dict.fromkeys(edge.upstream_task for edge in self.edges_to(task)).keys()

    def downstream_tasks(self, task: Task) -> KeysView[Task]:
        """Return the tasks that directly depend on a task."""
        return dict.fromkeys(edge.downstream_task for edge in self.edges_from(task)).keys()

    def reference_tasks(self) -> KeysView[Task]:
        """Return the tasks whose states decide the flow's: by default those on which none depends.

        What only cleans up decides nothing: those before it do.
        """
        chosen = dict.fromkeys(self._reference_tasks).keys() or self.terminal_tasks()
        one_of_each = {type(task): task for task in chosen}.values()
        if self._reference_tasks or not any(task.is_cleanup for task in one_of_each):
            return chosen
        last = (
            task
            for task in self.tasks
            if not task.is_cleanup and all(t.is_cleanup for t in self.downstream_tasks(task))
        )
        return dict.fromkeys(last).keys()

    def _member(self, task: Task) -> Task:
        if not isinstance(task, Operators):
            raise check.wrong("task", "a Task", task)
        if task not in self.tasks:
            raise FlowError(f"{task!r} is not in flow {self.name!r}")
        return task

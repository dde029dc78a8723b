"""How tasks, edges and values come into a flow."""

from __future__ import annotations

from itertools import pairwise

from prefect.core import check
from prefect.core.graph import Edge, Graph
from prefect.core.inputs import (
    ANNOTATIONS,
    Constant,
    annotated,
    as_task,
    flatten,
    in_order,
    unmappable,
)
from prefect.core.parameter import Parameter
from prefect.core.queries import FlowQueries
from prefect.core.task import Task
from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class FlowBuilding(FlowQueries):
    """The part of a flow to which tasks are added, and in which they are replaced."""

    constants: dict[Task, dict[str, Any]]
    """The arguments of each task that are plain values."""

    def add_task(self, task: Task) -> Task:
        """Add a task, unless it is there, and return it.

        Raises:
            DuplicateNameError: a parameter of the same name, or a task of the same slug, is there.
            TypeError: it is not a task.
        """
        self._graph.add_task(task)
        return task

    def add_edge(
        self,
        upstream_task: Any,
        downstream_task: Task,
        key: str | None = None,
        mapped: bool = False,
        flattened: bool = False,
        validate: bool | None = None,
    ) -> Edge:
        """Add an edge, and its tasks if they are not there, and return it.

        Args:
            upstream_task: the task that comes first; also in `unmapped(...)`, `mapped(...)` or `flatten(...)`, or a
                plain value, if it has a key.
            downstream_task: the task that waits.
            key: the argument of the downstream task that takes the upstream's result.
            mapped: whether the downstream task runs once for each item of that result.
            flattened: whether it gets the items of the items of that result, as of `flatten(...)`: a task that
                takes them comes between.
            validate: whether to look for cycles now, and not only when the flow is used.

        Raises:
            FlowError: the edge contradicts another, or leads to a parameter.
            TypeError: `run` of the downstream task has no such argument.
        """
        if not isinstance(upstream_task, Task) or flattened is not False:
            return self._edge_from(
                upstream_task, downstream_task, key, mapped, flattened, validate=validate
            )
        edge = Edge(upstream_task, downstream_task, key, mapped)
        if isinstance(downstream_task, Parameter):
            raise FlowError(f"Parameter {downstream_task.name!r} cannot depend on a task")
        if key is not None:
            downstream_task._signature.check(key, downstream_task)  # noqa: SLF001
            if key in self.constants.get(downstream_task, ()):
                raise FlowError(f"Argument {key!r} of task {downstream_task.name!r} is given twice")
        self._graph.add_edge(edge)
        self._order_if(validate)
        return edge

    def _edge_from(
        self, value: Any, task: Task, key: str | None, mapped: bool, flattened: bool, **more: Any
    ) -> Edge:
        """Add an edge from what is not a task, or not one as it is."""
        check.instance("downstream_task", task, Task)
        if check.flag("flattened", flattened):
            value = flatten(value)
        if type(value) in ANNOTATIONS:
            value, mapped = annotated(value, mapped, self)
        upstream = as_task(value, self)
        if upstream is None and key is None:
            raise TypeError(f"Task {task.name!r} cannot wait for {value!r}: it is not a task")
        if upstream is None and not mapped:
            self._set_input(task, check.text("key", key), value, mapped=False)
            self.add_task(task)
            return Edge(Constant(value), task, key)
        upstream = Constant(value) if upstream is None else upstream
        return self.add_edge(upstream, task, key, mapped, **more)

    def chain(self, *tasks: Task, validate: bool | None = None) -> list[Edge]:
        """Make each task wait for the one before it, and return the edges.

        Args:
            *tasks: in the order in which they are to run.
            validate: whether to look for cycles now, and not only when the flow is used.
        """
        return [self.add_edge(a, b, validate=validate) for a, b in pairwise(tasks)]

    def set_dependencies(
        self,
        task: Task,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Task] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        mapped: bool = False,
        validate: bool | None = None,
    ) -> None:
        """Add a task with its dependencies.

        Args:
            task: the task.
            upstream_tasks: tasks to wait for.
            downstream_tasks: tasks that wait for it.
            keyword_tasks: arguments for `run`: tasks or plain values.
            mapped: whether the task runs once for each item of what is not `unmapped(...)`.
            validate: whether to look for cycles now, and not only when the flow is used.

        Raises:
            FlowError: a dependency contradicts another, or leads to a parameter, or a value that is
                mapped over has no items.
            TypeError: `run` has no such argument, or something is not a task.
        """
        check.instance("task", task, Task)
        if mapped is not False:
            check.flag("mapped", mapped)
        if upstream_tasks is not None or downstream_tasks is not None:
            listed_tasks("upstream_tasks", upstream_tasks)
            listed_tasks("downstream_tasks", downstream_tasks)
        if keyword_tasks is not None and type(keyword_tasks) is not dict:
            keyword_tasks = check.mapping("keyword_tasks", "arguments", keyword_tasks)
        if keyword_tasks:
            for key, value in keyword_tasks.items():
                self._set_input(task, key, value, mapped)
        if upstream_tasks is not None:
            self._wait(task, upstream_tasks, mapped)
        self.add_task(task)
        if mapped and not any(edge.mapped for edge in self.edges_to(task)):
            raise FlowError(f"Task {task.name!r} has nothing to map over: no argument is mapped")
        if downstream_tasks is not None:
            for downstream in in_order(downstream_tasks, self):
                self.add_edge(task, downstream)
        self._order_if(validate)

    def _wait(self, task: Task, upstream_tasks: Iterable[Any], mapped: bool) -> None:
        for value in in_order(upstream_tasks, self):
            plain, each = value, mapped
            if type(value) in ANNOTATIONS:
                plain, each = annotated(value, mapped, self)
            upstream = as_task(plain, self)
            if upstream is None:
                raise TypeError(f"Task {task.name!r} cannot wait for {value!r}: it is not a task")
            self.add_edge(upstream, task, mapped=each)

    def _set_input(self, task: Task, key: str, value: Any, mapped: bool) -> None:
        if type(value) in ANNOTATIONS:
            value, mapped = annotated(value, mapped, self)
        upstream = as_task(value, self)
        if upstream is None and mapped:
            if reason := unmappable(value):
                raise FlowError(f"Task {task.name!r} cannot map over {key!r}: {reason}")
            upstream = Constant(value)
        if upstream is not None:
            self.add_edge(upstream, task, key=key, mapped=mapped)
            return
        task._signature.check(key, task)  # noqa: SLF001  # of this package
        if self._graph.has_input(task, key):
            raise FlowError(f"Argument {key!r} of task {task.name!r} is given twice")
        self.constants.setdefault(task, {})[key] = value

    def _order_if(self, validate: bool | None) -> None:
        """Look for cycles, if that is asked for."""
        if validate is not None and check.flag("validate", validate):
            self._graph.order()

    def map_added(self, tasks: list[Task], edges: list[Edge], sources: list[Task]) -> None:
        """Map tasks that were just added over some sources, and over each other; see `apply_map`."""
        each = {*tasks, *sources}.difference(task for task in tasks if isinstance(task, Parameter))
        changed = {
            edge: Edge(edge[0], edge[1], edge[2], True)
            for edge in edges
            if edge[0] in each and not (edge[0] in tasks and isinstance(edge[0], Constant))
        }
        self._graph = Graph.of(self.tasks, [changed.get(edge, edge) for edge in self.edges])
        for task in tasks:
            if isinstance(task, Constant | Parameter) or any(e.mapped for e in self.edges_to(task)):
                continue
            for source in sources:
                self.add_edge(source, task, mapped=True)

    def update(
        self,
        flow: FlowBuilding,
        merge_parameters: bool = False,
        validate: bool | None = None,
        merge_reference_tasks: bool = False,
    ) -> None:
        """Add the tasks and edges of another flow.

        Args:
            flow: the other flow.
            merge_parameters: whether its parameters are those of this one that have the same names.
            validate: whether to look for cycles now, and not only when the flow is used.
            merge_reference_tasks: whether its reference tasks are reference tasks of this one, too.

        Raises:
            DuplicateNameError: both have a parameter of one name, or a task of one slug.
        """
        if not isinstance(flow, FlowBuilding):
            raise check.wrong("flow", "a Flow", flow)
        own: dict[Task, Task] = {}
        if check.flag("merge_parameters", merge_parameters):
            named = {each.name: each for each in self.parameters()}
            own = {each: named[each.name] for each in flow.parameters() if each.name in named}
        deciding = [own.get(task, task) for task in flow.reference_tasks()]
        if check.flag("merge_reference_tasks", merge_reference_tasks):
            deciding = [*self.reference_tasks(), *deciding]
        for task in flow.tasks:
            self.add_task(own.get(task, task))
        for edge in flow.edges:
            self._graph.add_edge(
                edge if edge[0] not in own else Edge(own[edge[0]], edge[1], edge[2], edge[3])
            )
        if merge_reference_tasks:
            self._reference_tasks = list(dict.fromkeys(deciding))
        for task, constants in flow.constants.items():
            self.constants.setdefault(task, {}).update(constants)
        self._order_if(validate)

    def replace(self, old: Task, new: Task, validate: bool | None = None) -> None:
        """Put a task in the place of another, with the same edges and arguments.

        Args:
            old: a task of the flow.
            new: the task that takes its place.
            validate: whether to look for cycles now, and not only when the flow is used.

        Raises:
            FlowError: the old one is not in the flow.
            TypeError: the new one's `run` does not take these arguments.
        """
        self._member(old)
        check.instance("new", new, Task)
        keys = [edge.key for edge in self.edges_to(old) if edge.key is not None]
        for key in [*keys, *self.constants.get(old, ())]:
            new._signature.check(key, new)  # noqa: SLF001  # of this package
        self._graph = self._graph.replaced(old, new)
        if old in self.constants:
            self.constants[new] = self.constants.pop(old)
        self._reference_tasks = [new if t is old else t for t in self._reference_tasks]
        self._order_if(validate)


def listed_tasks(what: str, given: Iterable[Any] | None) -> Iterable[Any]:
    """Check a list of tasks; None is an empty one."""
    return () if given is None else check.listed(what, "tasks", given)

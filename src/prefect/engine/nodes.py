"""A flow laid out for a run: what each task waits for, and who waits for it."""

from __future__ import annotations

from prefect.core.triggers import all_successful

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.flow import Flow
    from prefect.core.graph import Edge
    from prefect.core.state import Retrying, State
    from prefect.core.task import Task


class Step:
    """What a task and all its mapped children have in common."""

    __slots__ = ("constants", "default_trigger", "edges", "keys", "mapped", "slug", "task")

    def __init__(self, task: Task, slug: str, edges: list[Edge], constants: dict[str, Any]) -> None:
        self.task = task
        self.slug = slug
        self.edges = edges
        self.keys = [edge[2] for edge in edges]
        self.constants = constants
        self.mapped = any(edge[3] for edge in edges)
        self.default_trigger = task.trigger is all_successful


class Node:
    """A task, or a mapped child, in the course of a run.

    Attributes:
        sources: for each edge the node it comes from; for a child, the state of its item where
            it maps over a plain value.
        waiting: how many sources it waits for.
        downstream: nodes that wait for it to finish.
        followers: mapped tasks that only wait for it to expand, so that their children can
            follow its own one by one.
        state: its state since it has finished or expanded.
        retrying: the state of one that is being tried again.
        children: the nodes of a mapped task, once it has expanded.
        unfinished: how many of them are.
    """

    __slots__ = (
        "children",
        "downstream",
        "followers",
        "map_index",
        "parent",
        "retrying",
        "sources",
        "state",
        "step",
        "unfinished",
        "waiting",
    )

    def __init__(
        self,
        step: Step,
        sources: list[Node | State],
        waiting: int,
        map_index: int | None = None,
        parent: Node | None = None,
    ) -> None:
        self.step = step
        self.sources = sources
        self.waiting = waiting
        self.map_index = map_index
        self.parent = parent
        self.downstream: list[Node] = []
        self.followers: list[Node] = []
        self.state: State | None = None
        self.retrying: Retrying | None = None
        self.children: list[Node] | None = None
        self.unfinished = 0

    @property
    def label(self) -> str:
        """Name it for people: `name`, or `name[index]`."""
        name = self.step.task.name
        return name if self.map_index is None else f"{name}[{self.map_index}]"

    def upstream_states(self) -> dict[Edge, State]:
        """Return what triggers decide by. All sources must have finished."""
        states = {}
        for edge, source in zip(self.step.edges, self.sources, strict=True):
            state = source.state if isinstance(source, Node) else source
            assert state is not None  # noqa: S101  # for the type checker
            states[edge] = state
        return states


def lay_out(flow: Flow) -> list[Node]:
    """Return the nodes of a valid flow, in topological order."""
    slugs = flow.slugs
    nodes: dict[Task, Node] = {}
    for task in flow.sorted_tasks():
        edges = list(flow.edges_to(task))
        sources: list[Node] = [nodes[edge[0]] for edge in edges]
        node = Node(
            Step(task, slugs[task], edges, flow.constants.get(task, {})),
            sources,  # type: ignore[arg-type]  # lists are invariant
            len(edges),
        )
        nodes[task] = node
        for edge, source in zip(edges, sources, strict=True):
            if edge[3] and source.step.mapped:
                source.followers.append(node)
            else:
                source.downstream.append(node)
    return list(nodes.values())

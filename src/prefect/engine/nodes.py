"""A flow laid out for a run: what each task waits for, and who waits for it."""

from __future__ import annotations

from itertools import repeat

from prefect.core.state import Mapped, Success
from prefect.core.triggers import all_successful

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from prefect.core.flow import Flow
    from prefect.core.graph import Edge
    from prefect.core.state import Retrying, State
    from prefect.core.task import Task


SHARED, ITEM, CHILDREN = range(3)
"""What an edge brings to the children of a mapped task: one value to all, or to each an item of a
value, or a child of another mapped task."""


class Step:
    """What a task and all its mapped children have in common."""

    __slots__ = ("constants", "default_trigger", "edges", "mapped", "slug", "task")

    def __init__(
        self, task: Task, slug: str, edges: Sequence[Edge], constants: dict[str, Any]
    ) -> None:
        self.task = task
        self.slug = slug
        self.edges = edges
        self.constants = constants
        self.mapped = False
        self.default_trigger = task.trigger is all_successful

    def takes(self, edge: Edge) -> bool:
        """Tell whether it, or its trigger, may need the result of the task where the edge begins."""
        return edge[2] is not None or not self.default_trigger


class Node:
    """A task, or a mapped child, in the course of a run.

    Attributes:
        sources: for each edge the node it comes from; for a child, its item where it maps over a
            plain value. Nothing, once the node has finished.
        kinds: for a mapped task that has expanded, and its children, what each source is.
        takers: how often its value will be taken; 0 if it stays.
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
        "kinds",
        "map_index",
        "parent",
        "retrying",
        "sources",
        "state",
        "step",
        "takers",
        "unfinished",
        "waiting",
    )

    def __init__(
        self,
        step: Step,
        sources: Sequence[Any],
        waiting: int,
        map_index: int | None = None,
        parent: Node | None = None,
        kinds: Sequence[int] = (),
    ) -> None:
        self.step = step
        self.sources = sources
        self.waiting = waiting
        self.map_index = map_index
        self.parent = parent
        self.kinds = kinds
        self.takers = 0
        # Lists where there is something in them: most nodes have few others, and there are many.
        self.downstream: Sequence[Node] = ()
        self.followers: Sequence[Node] = ()
        self.state: State | None = None
        self.retrying: Retrying | None = None
        self.children: list[Node] | None = None
        self.unfinished = 0

    @property
    def label(self) -> str:
        """Name it for people: `name`, or `name[index]`."""
        name = self.step.task.name
        return name if self.map_index is None else f"{name}[{self.map_index}]"

    def inputs(self) -> tuple[dict[str, Any], bool]:
        """Return what `run` is to get, and whether all before it went as most triggers want it."""
        step = self.step
        inputs = step.constants.copy()
        usual = step.default_trigger
        for edge, source in zip(step.edges, self.sources, strict=False):
            state = source.state
            if type(state) is not Success and not _is_plain(state):
                usual = False
            if (key := edge[2]) is not None:
                inputs[key] = state.held
        return inputs, usual

    def inputs_with_items(self) -> tuple[dict[str, Any], bool]:
        """Return the same for a child some of whose sources are items."""
        step = self.step
        inputs = step.constants.copy()
        usual = step.default_trigger
        for edge, source, kind in zip(step.edges, self.sources, self.kinds, strict=False):
            if kind == ITEM:
                value = source
            else:
                state = source.state
                if type(state) is not Success and not _is_plain(state):
                    usual = False
                value = state.held
            if (key := edge[2]) is not None:
                inputs[key] = value
        return inputs, usual

    def upstream_states(self) -> dict[Edge, State]:
        """Return what triggers decide by. All sources must have finished."""
        return {
            edge: Success(None, source) if kind == ITEM else source.state
            for edge, source, kind in zip(
                self.step.edges, self.sources, self.kinds or repeat(SHARED), strict=False
            )
        }

    def precede(self, node: Node) -> None:
        """Have another node wait for this one to finish."""
        if self.downstream:
            self.downstream.append(node)  # type: ignore[attr-defined]  # then it is a list
        else:
            self.downstream = [node]


def _is_plain(state: State) -> bool:
    """Whether it is that of a mapped task of whose children none failed or was skipped."""
    return type(state) is Mapped and state.counts().all_ran_well()


def lay_out(flow: Flow) -> list[Node]:
    """Return the nodes of a valid flow, in topological order."""
    slugs, constants = flow.slugs, flow.constants
    nothing: dict[str, Any] = {}
    nodes: dict[Task, Node] = {}
    for task, edges in flow.tasks_with_edges():
        sources = [nodes[edge[0]] for edge in edges]
        step = Step(task, slugs[task], edges, constants.get(task, nothing))
        nodes[task] = node = Node(step, sources, len(sources))
        for edge, source in zip(edges, sources, strict=True):
            if edge[3]:
                step.mapped = True
                if source.step.mapped:
                    source.followers = [*source.followers, node]
                    continue
            source.precede(node)
    return list(nodes.values())

"""A flow laid out for a run: what each task waits for, and who waits for it."""

from __future__ import annotations

from itertools import repeat

from prefect.core.inputs import Constant
from prefect.core.parameter import Parameter
from prefect.core.state import Mapped, Pending, Success
from prefect.core.triggers import all_successful
from prefect.engine.job import Job

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


AGAIN = "runs_again"
"""In the context of the state of one that loops, and waits for its next pass: it has not failed."""


class Setting:
    """What all tasks of a run have in common.

    Args:
        flow: the flow.
        context: what `prefect.context` has for each of its tasks.
    """

    __slots__ = ("_flow", "_slugs", "context")

    def __init__(self, flow: Flow, context: dict[str, Any]) -> None:
        self._flow = flow
        self._slugs: dict[Task, str] | None = None
        self.context = context

    def slug(self, task: Task) -> str:
        """Return what identifies a task: found for all of them when it is first asked for."""
        if self._slugs is None:
            self._slugs = self._flow.slugs
        return self._slugs[task]


class Node:
    """What runs: a task (see `Step`), or a child of one that is mapped (see `Child`).

    Attributes:
        sources: for each edge the node it comes from; for a child, its item where it maps over a
            plain value. Nothing, once the node has finished.
        kinds: for a mapped task that has expanded, and its children, what each source is.
        parent: of a child, the mapped task.
        plain: whether no more is to be done than to call it; see `prefect.engine.plain`.
        takers: how often its value will be taken; 0 if it stays.
        waiting: how many sources it waits for.
        downstream: nodes that wait for it to finish.
        state: its state since it has finished or expanded.
        retrying: the state of one that is being tried again.
        mapped: whether it is to expand.
        map_index: which child it is.
        children: the nodes of a mapped task, once it has expanded.
        followers: mapped tasks that only wait for it to expand, so that their children can
            follow its own one by one.
    """

    __slots__ = (
        "downstream", "kinds", "parent", "plain", "retrying", "sources", "state", "takers", "waiting",
    )  # fmt: skip
    parent: Step | None
    plain: bool
    sources: Sequence[Any]
    kinds: Sequence[int]
    takers: int
    waiting: int
    downstream: Sequence[Node]  # lists where there is something in them, as below: most have few
    state: State | None
    retrying: Retrying | None
    mapped: bool = False
    map_index: int | None = None
    children: list[Node] | None = None
    followers: Sequence[Node] = ()

    @property
    def step(self) -> Step:
        """The task: what it has in common with others that are its children."""
        return self.parent or self  # type: ignore[return-value]  # without a parent it is one

    def context_values(self) -> dict[str, Any]:
        """Return what `prefect.context` holds while it runs for the first time."""
        step = self.step
        return Job(
            step.task, step.slug, self.map_index, {}, step.setting.context, run_count=1
        ).context_values()

    def before(self) -> State:
        """Return the state that state handlers are told it had before it runs."""
        if self.retrying is None or AGAIN in self.retrying.context:
            return Pending()
        return self.retrying

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
        for key, source in zip(step.keys, self.sources):  # noqa: B905  # twice as fast without `strict`
            state = source.state
            if type(state) is not Success and not is_plain(state):
                usual = False
            if key is not None:
                inputs[key] = state.held
        return inputs, usual

    def inputs_with_items(self) -> tuple[dict[str, Any], bool]:
        """Return the same for a child some of whose sources are items."""
        step = self.step
        inputs = step.constants.copy()
        usual = step.default_trigger
        for key, source, kind in zip(step.keys, self.sources, self.kinds):  # noqa: B905
            if kind == ITEM:
                value = source
            else:
                state = source.state
                if type(state) is not Success and not is_plain(state):
                    usual = False
                value = state.held
            if key is not None:
                inputs[key] = value
        return inputs, usual

    def known_inputs(self) -> dict[str, Any]:
        """Return the inputs as far as they are known: nothing, before all sources are there."""
        if self.waiting or self.mapped:
            return {}
        return (self.inputs_with_items() if self.kinds else self.inputs())[0]

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


class Step(Node):
    """A task in the course of a run, with what all its children have in common with it if it is mapped.

    What is asked for each time that something runs is looked up once, in the order in which tasks were made: they
    run in another one, and of a large flow no more is in the processor's cache. So this is one object.

    Attributes:
        run: what the task does.
        keys: for each edge, the argument that it gives; the same tuple for all tasks with the same.
        unfinished: how many of its children are.
    """

    __slots__ = (
        "children", "constants", "default_trigger", "edges", "followers", "keys", "mapped", "run", "setting",
        "task", "unfinished",
    )  # fmt: skip

    keys: tuple[str | None, ...]
    children: list[Node] | None

    def __init__(
        self, task: Task, setting: Setting, edges: Sequence[Edge], constants: dict[str, Any]
    ) -> None:
        self.task = task
        self.run = task.run
        self.default_trigger = usual = task.trigger is all_successful
        self.plain = usual and needs_nothing(task)
        self.setting = setting
        self.edges = edges
        self.waiting = len(edges)
        self.constants = constants
        self.mapped = False
        self.sources = self.kinds = self.keys = self.downstream = self.followers = ()
        self.takers = self.unfinished = 0
        self.parent = self.state = self.retrying = self.children = None

    @property
    def slug(self) -> str:
        """What identifies the task in its flow."""
        return self.setting.slug(self.task)

    def takes(self, edge: Edge) -> bool:
        """Tell whether it, or its trigger, may need the result of the task where the edge begins."""
        return edge[2] is not None or not self.default_trigger

    def expanding(self, node: Step) -> None:
        """Have another task wait for this one to expand."""
        if self.followers:
            self.followers.append(node)  # type: ignore[attr-defined]  # then it is a list
        else:
            self.followers = [node]


class Child(Node):
    """A child of a mapped task."""

    __slots__ = ("map_index",)

    def __init__(
        self, parent: Step, sources: Sequence[Any], map_index: int | None, plain: bool
    ) -> None:
        self.parent = parent
        self.sources = sources
        self.map_index = map_index
        self.plain = plain
        self.kinds = parent.kinds
        self.takers = parent.takers  # of the whole, each of whom takes each
        self.waiting = 0
        self.downstream = ()
        self.state = self.retrying = None


def needs_nothing(task: Task) -> bool:
    """Tell whether a task needs nothing but to be called."""
    return not (
        task.__dict__.get("state_handlers")  # as `has_handlers` does
        or task.timeout is not None
        or task.log_stdout
        or task.task_run_name is not None
        or task.learns is not None
    )


def is_plain(state: State) -> bool:
    """Whether it is that of a mapped task of whose children none failed or was skipped."""
    return type(state) is Mapped and state.counts().all_ran_well()


def lay_out(flow: Flow, context: dict[str, Any] | None = None) -> list[Step]:
    """Return the nodes of a valid flow, in topological order, each with how often its value is taken.

    Kept are the values of reference tasks, those that the flow or its caller has anyway, and those
    that no task takes: they were made for who reads them after the run.

    Args:
        flow: the flow.
        context: what `prefect.context` has for each of its tasks.
    """
    shared: dict[tuple[str | None, ...], tuple[str | None, ...]] = {}
    setting, constants = Setting(flow, {} if context is None else context), flow.constants
    nothing: dict[str, Any] = {}
    nodes: dict[Task, Step] = {}
    kept: list[Node] = []
    for task, edges in flow.tasks_with_edges():
        nodes[task] = node = Step(task, setting, edges, constants.get(task, nothing))
        if not edges:
            if isinstance(task, _HAD_ANYWAY):
                kept.append(node)
            continue
        sources: list[Node] = []
        keys: list[str | None] = []
        always = not node.default_trigger  # as `Step.takes` says; a call for each edge costs
        for edge in edges:
            source = nodes[edge[0]]
            sources.append(source)
            key = edge[2]
            keys.append(key)
            if always or key is not None:
                source.takers += 1
            if edge[3]:
                node.mapped, node.plain = True, False
                if source.mapped:
                    source.expanding(node)
                    continue
            if source.downstream:  # as `precede` does
                source.downstream.append(node)  # type: ignore[attr-defined]
            else:
                source.downstream = [node]
        node.sources = tuple(sources)
        names = tuple(keys)
        node.keys = shared.setdefault(names, names)
    kept.extend(nodes[task] for task in flow.reference_tasks())
    for each in kept:
        each.takers = 0
    return list(nodes.values())


_HAD_ANYWAY = (Parameter, Constant)

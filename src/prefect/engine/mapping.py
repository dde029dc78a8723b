"""Expands a mapped task into children, one for each item of what it is mapped over, and gathers them."""

from __future__ import annotations

from itertools import repeat

from prefect.core.inputs import items_of
from prefect.core.refs import Ref
from prefect.core.state import Failed, Mapped, Pending, Skipped, Success
from prefect.engine.collection import no_collection
from prefect.engine.nodes import CHILDREN, ITEM, SHARED, Child, Node, Step, needs_nothing
from prefect.engine.releasing import done_with_sources, let_go
from prefect.engine.transitions import change, skipped, triggered
from prefect.errors import ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from prefect.core.graph import Edge
    from prefect.core.state import State
    from prefect.engine.runner import Run

    Column: TypeAlias = Sequence[Any]
    """What one edge brings to each child: nodes, or items of a value."""


class _NotMappableError(Exception):
    """A value has no items to map over; says why."""


def expand(run: Run, node: Step) -> None:
    """Replace a mapped node, whose sources are there, by its children."""
    with no_collection():
        outcome = _expanded(node)
    if isinstance(outcome, list):
        mapped = change(run, node, Pending(), Mapped(f"mapped over {len(outcome)} items"))
        if isinstance(mapped, Mapped):
            node.state = mapped
            node.children = outcome
            node.unfinished = len(outcome)
            run.tell(node, mapped, len(outcome))
            run.ready.extend(child for child in reversed(outcome) if not child.waiting)
            run.notify(node.followers)  # these first, so that their children can follow
            if not outcome:
                gather(run, node)
            return
    else:
        mapped = change(run, node, Pending(), outcome)
    run.finish(node, mapped)


def gather(run: Run, node: Step) -> None:
    """Gather the children of a mapped node, all of which have finished."""
    children = node.children
    mapped = node.state
    assert isinstance(mapped, Mapped)  # noqa: S101  # for the type checker
    assert children is not None  # noqa: S101  # for the type checker
    mapped.gather([child.state for child in children if child.state is not None])
    if run.releasing:
        done_with_sources(node)
        if node.takers and not node.downstream:
            let_go(node)  # of the list: only the children are taken
    node.sources = ()
    run.notify(node.downstream)


def _expanded(node: Node) -> list[Node] | State:
    """Return the children of a mapped node, or the state of one that cannot be mapped.

    Its sources have finished, but for mapped ones over which it is mapped: these have only
    expanded, and each of its children waits for the child of the same index there.
    """
    columns: list[Column | None] = []
    kinds: list[int] = []
    lengths: dict[str, int] = {}
    shared: dict[Edge, State] = {}  # the upstream states that all children have in common
    problem: str | None = None
    alone: str | None = None  # what is a problem only where there is nothing else to map over
    for edge, source in zip(node.step.edges, node.sources, strict=True):
        column: Column | None = None
        kind = SHARED
        if edge.mapped and source.children is not None:
            column, kind = source.children, CHILDREN
        elif edge.mapped and isinstance(source.state, Mapped):
            column = [_settled(source.step, state) for state in source.state.map_states]
            kind = CHILDREN
        else:
            shared[edge] = state = source.state
            if edge.mapped:
                try:
                    column, kind = _items(state), ITEM
                except _NotMappableError as error:
                    reason = f"cannot map over {edge.key or edge.upstream_task.name!r}: {error}"
                    if edge.key is not None:
                        problem = problem or reason
                    else:
                        alone = alone or reason
        columns.append(column)
        kinds.append(kind)
        if column is not None:
            lengths[edge.key or edge.upstream_task.name] = len(column)
    if refusal := _refusal(node, shared, problem or (None if lengths else alone), lengths):
        return refusal
    node.kinds = kinds
    return _children(node, columns)


def _settled(step: Step, state: State) -> Node:
    """Return the node of a child that never was one: `flatten` gives states, not children."""
    node = Child(step, (), None, False)
    node.takers = 0  # whoever takes the whole takes its state
    node.state = state
    return node


def _refusal(
    node: Node, shared: dict[Edge, State], problem: str | None, lengths: dict[str, int]
) -> State | None:
    """Return the state of a node that cannot be mapped, or need not be."""
    task = node.step.task
    if skip := skipped(task, shared):
        return skip
    # Other triggers have to see the states of all upstream tasks, and so are asked by the
    # children. This one cannot but refuse all of them.
    if (problem or node.step.default_trigger) and (blocked := triggered(task, shared)):
        return blocked
    if problem is None and not lengths:
        problem = "there is nothing to map over: no argument is mapped"
    elif problem is None and len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        problem = f"cannot map over arguments of different lengths: {listed}"
    return None if problem is None else Failed(problem, TypeError(problem))


def _children(node: Node, columns: list[Column | None]) -> list[Node]:
    """Make the children, whose sources lie in columns; None for what all have in common."""
    step = node.step
    # With a column that ends: zip has all that others do not share.
    rows = zip(
        *(
            repeat(source) if column is None else column
            for column, source in zip(columns, node.sources, strict=True)
        ),
        strict=False,
    )
    kinds, plain = node.kinds, step.default_trigger and needs_nothing(step.task)
    children: list[Node] = []
    with no_collection(many=max(len(column) for column in columns if column is not None)):
        for index, sources in enumerate(rows):
            children.append(Child(step, sources, index, plain))
    for column, kind in zip(columns, kinds, strict=True):
        if column is not None and kind == CHILDREN:
            for source, child in zip(column, children, strict=True):
                if source.state is None:
                    source.precede(child)
                    child.waiting += 1
    return children


def _items(state: State) -> Sequence[Any]:
    """Return the items of an upstream result."""
    if isinstance(state, Skipped) or not isinstance(state, Success):
        ended = "was skipped" if isinstance(state, Skipped) else "failed"
        raise _NotMappableError(f"the task it comes from {ended}")
    value = state.held
    try:  # a value that is elsewhere is split where it lies
        return value.items() if isinstance(value, Ref) else items_of(value)
    except (TypeError, ResultUnavailableError) as error:
        raise _NotMappableError(str(error)) from error

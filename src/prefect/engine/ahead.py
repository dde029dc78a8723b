"""Gives tasks to a cluster before those that they wait for have come to their ends.

A cluster knows what waits for what, and begins a task as soon as it has the values of those before it: there
is no trip to the process that runs the flow between two links of a chain. What has been given ahead counts
from when the runner would have begun it; where that comes otherwise, it is taken back.
"""

from __future__ import annotations

from collections import deque

from prefect.core.inputs import Constant
from prefect.core.own import has_handlers
from prefect.core.state import Success
from prefect.engine.gathering import gathered_here, is_gathering
from prefect.engine.nodes import ITEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.refs import Ref
    from prefect.core.task import Task
    from prefect.engine.executors.base import Session
    from prefect.engine.nodes import Node
    from prefect.engine.runner import Run

MOST = 5000
"""How many tasks are ahead at a time: a scheduler is not to be flooded."""


class Ahead:
    """What a run has given to its session ahead.

    Args:
        run: the run.
        session: takes jobs ahead.
    """

    def __init__(self, run: Run, session: Session) -> None:
        self._run = run
        self._session = session
        self._nodes: set[Node] = set()
        self._known: dict[Node, int] = {}  # of how many of its sources the first are
        self._cut: deque[Node] = deque()  # what follows these is still to be looked at

    def follow(self, begun: Node) -> None:
        """Give to the session what waits for a node that it has, as far as that can be done."""
        stack = [begun]
        while stack:
            source = stack.pop()
            if not _may_lead(source.step.task):
                continue
            if len(self._nodes) >= MOST:
                self._cut.append(source)
                continue
            for node in source.downstream:
                if node in self._nodes:
                    continue
                # What gathers is done here: what follows it gets the parts.
                if is_gathering(node.step.task):
                    if self._is_known(node):
                        stack.append(node)
                elif self._give(node):
                    self._nodes.add(node)
                    stack.append(node)

    def claim(self, node: Node, *, usual: bool) -> bool:
        """Tell whether the session has a node already, all before which is done.

        Args:
            node: the node.
            usual: whether all before it went as most triggers want it; else it is taken back.
        """
        if node not in self._nodes:
            return False
        self._nodes.remove(node)
        if not usual:
            self._session.withdraw(node)
        elif self._cut:
            self.follow(self._cut.popleft())
        return usual

    def take_back(self, node: Node) -> None:
        """Take back what follows a node that is to be tried again."""
        stack = [node]
        while stack:
            for each in stack.pop().downstream:
                if each in self._nodes:
                    self._nodes.remove(each)
                    self._session.withdraw(each)
                    stack.append(each)
                elif is_gathering(each.step.task):
                    stack.append(each)

    def _give(self, node: Node) -> bool:
        """Give a node to the session, if it can begin when those before it have succeeded."""
        step = node.step
        if (
            not node.waiting  # then it is not ahead any more
            or not step.default_trigger
            or step.task.auto_generated
            or not _may_lead(step.task)
            or node.retrying is not None
            or node.mapped
        ):
            return False
        found = self._inputs(node)
        if found is None:
            return False
        return self._session.submit_ahead(node, self._run.job(node, found))

    def _is_known(self, node: Node) -> bool:
        """Tell whether it is known what a node is to get, and it does not only follow what is not done.

        A cluster knows no order without a value, which it would send to where the follower runs.
        """
        edges, sources, kinds = node.step.edges, node.sources, node.kinds
        if node.step.mapped and node.map_index is None:
            return False
        for number in range(self._known.get(node, 0), len(sources)):  # not all anew, each time
            if not (kinds and kinds[number] == ITEM):
                source, wanted = sources[number], edges[number][2] is not None
                gathers = source.state is None and wanted and is_gathering(source.step.task)
                if not (
                    self._is_known(source)
                    if gathers
                    else self._value(source, wanted=wanted) is not None
                ):
                    self._known[node] = number
                    return False
        self._known[node] = len(sources)
        return True

    def _inputs(self, node: Node) -> dict[str, Any] | None:
        """Return what a node is to get; None where some of it is not known."""
        if not self._is_known(node):
            return None
        inputs: dict[str, Any] = node.step.constants.copy()
        for number, (edge, source) in enumerate(zip(node.step.edges, node.sources, strict=False)):
            key, is_item = edge[2], node.kinds and node.kinds[number] == ITEM
            found = (source,) if is_item else self._value(source, wanted=key is not None)
            if found is None:  # as it is to be tried again
                return None
            if key is not None:
                inputs[key] = found[0]
        return inputs

    def _value(self, source: Node, *, wanted: bool) -> tuple[Any] | None:
        """Return what a source brings, or is going to; None where that is not known to be a value."""
        if source.state is not None:
            return (source.state.held,) if type(source.state) is Success else None
        if not wanted:
            return None
        task = source.step.task
        if type(task) is Constant:
            return (task.value,)
        if is_gathering(task):
            found = self._inputs(source)
            return None if found is None else gathered_here(task, found)
        if not _may_lead(task):
            return None
        promised: Ref | None = self._session.promise(source)
        return None if promised is None else (promised,)


def _may_lead(task: Task) -> bool:
    """Tell whether what others get of a task is what it returns, and nobody decides before that."""
    return not (has_handlers(task) or task.at_most_once)

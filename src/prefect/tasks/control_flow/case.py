"""`case`: a block of tasks that run only if a result has a value."""

from __future__ import annotations

from prefect.core.context import building
from prefect.core.inputs import Constant
from prefect.core.parameter import Parameter
from prefect.core.task import Task
from prefect.errors import FlowError
from prefect.tasks.control_flow.conditional import CompareValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.flow import Flow

__all__ = ["case"]


class case:  # noqa: N801  # reads as a statement
    """A block of which the tasks run only if a result has a value; else they are skipped.

    Those that are added to the flow in the block wait for the comparison; `merge` joins branches.

    Args:
        task: the task whose result is compared, or a plain value.
        value: what it is to be.

    Raises:
        TypeError: the value is a task.
    """

    def __init__(self, task: Any, value: Any) -> None:
        if isinstance(value, Task):
            raise TypeError("case(task, value) compares with a plain value, not with a task")
        self.task = task
        self.value = value
        self._flow: Flow | None = None
        self._before: set[Task] = set()

    def __enter__(self) -> None:
        self._flow = building.get()
        if self._flow is None:
            raise FlowError("case(...) is used within `with Flow(...):`")
        self._before = set(self._flow.tasks)

    def __exit__(self, kind: object, *_: object) -> None:
        flow = self._flow
        if kind is not None or flow is None:
            return
        added = added_since(flow, self._before)
        if not added:
            return
        condition = CompareValue(self.value, name=f"case({self.value})").bind(self.task, flow=flow)
        for each in added:
            if not added.keys() & flow.upstream_tasks(each):
                each.set_upstream(condition, flow=flow)


def added_since(flow: Flow, before: set[Task]) -> dict[Task, None]:
    """Return the tasks that a flow has got since then, but for those that have a value only."""
    added = (task for task in flow.tasks if task not in before)
    return dict.fromkeys(task for task in added if not isinstance(task, Constant | Parameter))

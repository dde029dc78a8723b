"""What observers of a run are told."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.state import State


class TaskEvent:
    """A task, or a child of a mapped task, has changed its state.

    Args:
        task_slug: identifies the task in its flow, as in the serialized flow.
        task_name: the task's name.
        map_index: which child of a mapped task it is; None for the task itself.
        state: the new state: Running, Retrying, Mapped (children follow) or a final one.
        children: how many children a mapped task has, if the state is Mapped; otherwise None.
        run_count: which try at the task begins, from 1 on, if the state is Running and that is known; otherwise None.

    Attributes:
        time: when, in seconds since the epoch.
    """

    __slots__ = ("children", "map_index", "run_count", "state", "task_name", "task_slug", "time")

    def __init__(
        self,
        task_slug: str,
        task_name: str,
        map_index: int | None,
        state: State,
        children: int | None = None,
        run_count: int | None = None,
    ) -> None:
        self.task_slug = task_slug
        self.task_name = task_name
        self.map_index = map_index
        self.state = state
        self.children = children
        self.run_count = run_count
        self.time = time.time()

    def __repr__(self) -> str:
        index = "" if self.map_index is None else f"[{self.map_index}]"
        return f"<TaskEvent: {self.task_slug}{index} {type(self.state).__name__}>"

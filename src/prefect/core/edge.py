"""A dependency of one task on another."""

from __future__ import annotations

from prefect.core.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
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

    Raises:
        TypeError: an argument is of the wrong type.

    """

    __slots__ = ()

    def __new__(
        cls,
        upstream_task: Task,
        downstream_task: Task,
        key: str | None = None,
        mapped: bool = False,
    ) -> Self:
        """Check the arguments and make the tuple."""
        ends: tuple[Any, Any] = (upstream_task, downstream_task)
        for end in ends:
            if not isinstance(end, Task):
                raise TypeError(f"an edge connects two tasks, not {end!r}")
        name: Any = key
        if not (name is None or isinstance(name, str)):
            raise TypeError(f"an edge's key is the name of an argument, not {name!r}")
        return tuple.__new__(cls, (upstream_task, downstream_task, key, bool(mapped)))

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

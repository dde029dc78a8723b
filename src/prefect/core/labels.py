"""What the tasks of a serialized flow go by wherever a run is told of, and of which of them it is told."""

from __future__ import annotations

from collections import Counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Labels:
    """What tasks go by, each by another: a name that is one task's alone, and no other one's id or child, else the id.

    Args:
        flow: serialized.

    Attributes:
        silent: the ids of the tasks that only have a value, or pass values on: they are neither counted nor shown.
    """

    def __init__(self, flow: Mapping[str, Any]) -> None:
        tasks = flow["tasks"]
        names = Counter(task["name"] for task in tasks)
        ids = {task["id"] for task in tasks}
        taken = names.keys() | ids

        def is_label(name: str, slug: str) -> bool:
            if names[name] > 1 or (name != slug and name in ids):
                return False
            mapped, _, index = name.rpartition("[")
            return mapped not in taken or not index.removesuffix("]").isdigit()

        self._labels: dict[str, str] = {
            task["id"]: task["name"] if is_label(task["name"], task["id"]) else task["id"]
            for task in tasks
        }
        given = {parameter["name"] for parameter in flow["parameters"]}
        self.silent = given | {task["id"] for task in tasks if task.get("auto_generated")}

    def of(self, task: str, index: int | None = None) -> str:
        """Return what a task goes by, or a child of a mapped one: `load[3]`.

        Args:
            task: its id.
            index: which child it is.
        """
        label = self._labels.get(task, task)
        return label if index is None else f"{label}[{index}]"

"""`switch`, `ifelse` and `merge`: branches by functions."""

from __future__ import annotations

from prefect.core.composing import as_task
from prefect.core.signals import SKIP
from prefect.core.task import Task
from prefect.core.triggers import not_all_skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from prefect.core.flow import Flow

__all__ = ["ifelse", "merge", "switch"]


class CompareValue(Task):
    """Is skipped, with all that follows it, unless a result has a value.

    Args:
        value: the value.
        **kwargs: arguments of `Task`.
    """

    def __init__(self, value: Any, **kwargs: Any) -> None:
        self.value = value
        super().__init__(**{"name": f"CompareValue: {value!r}", **kwargs})

    def run(self, value: Any) -> None:
        """Compare.

        Raises:
            SKIP: the values differ.
        """
        if value != self.value:
            raise SKIP(f"{value!r} is not {self.value!r}")


class AsBool(Task):
    """Tells whether a result is true."""

    def run(self, value: Any) -> bool:
        """Return that."""
        return bool(value)


class Merge(Task):
    """Has the result of the first of several branches that was not skipped."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"skip_on_upstream_skip": False, "trigger": not_all_skipped, **kwargs})

    def run(self, **results: Any) -> Any:
        """Return the first result that is not None."""
        ordered = (results[f"task_{number}"] for number in range(1, len(results) + 1))
        return next((result for result in ordered if result is not None), None)


def switch(condition: Any, cases: Mapping[Any, Any], mapped: bool = False) -> None:
    """Run the task whose value the condition's result has; skip the others, and what follows them.

    Args:
        condition: a task, or a plain value.
        cases: tasks by value.
        mapped: whether to decide for each item of the condition's result.

    Raises:
        FlowError: no flow is being built.
    """
    for value, task in cases.items():
        compared = CompareValue(value).bind(condition, mapped=mapped)
        as_task(task).set_dependencies(upstream_tasks=[compared], mapped=mapped)


def ifelse(condition: Any, true_task: Any, false_task: Any, mapped: bool = False) -> None:
    """Run one task if the condition's result is true, else another one.

    Args:
        condition: a task, or a plain value.
        true_task: run if it is true; or None.
        false_task: run if it is not; or None.
        mapped: whether to decide for each item of the condition's result.

    Raises:
        FlowError: no flow is being built.
    """
    cases = {True: true_task, False: false_task}
    truth = AsBool().bind(condition, mapped=mapped)
    switch(truth, {value: task for value, task in cases.items() if task is not None}, mapped=mapped)


def merge(
    *tasks: Any, flow: Flow | None = None, mapped: bool = False, checkpoint: bool | None = None
) -> Task:
    """Join branches: add a task with the result of the first one that was not skipped.

    Args:
        *tasks: the last task of each branch.
        flow: by default the one that is being built.
        mapped: whether the branches are mapped.
        checkpoint: as of a task.

    Raises:
        FlowError: there is no flow.
    """
    named = {f"task_{number}": task for number, task in enumerate(tasks, 1)}
    return Merge(checkpoint=checkpoint).bind(mapped=mapped, flow=flow, **named)

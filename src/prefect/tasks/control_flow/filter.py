"""`FilterTask`: what is left of a list of results."""

from __future__ import annotations

from prefect.core.task import Task
from prefect.core.triggers import all_finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["FilterTask"]


class FilterTask(Task):
    """Takes the results that a function wants: by default those that are neither None nor a failure's.

    It runs whatever became of the tasks before it.

    Args:
        filter_func: tells of a result whether to keep it.
        log_func: returns a line to log, of the results that are not kept.
        **kwargs: arguments of `Task`.
    """

    def __init__(
        self,
        filter_func: Callable[[Any], bool] | None = None,
        log_func: Callable[[list[Any]], str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"skip_on_upstream_skip": False, "trigger": all_finished, **kwargs})
        self.filter_func = filter_func or _is_result
        self.log_func = log_func

    def run(self, task_results: Any) -> list[Any]:
        """Return those that are kept."""
        kept = [bool(self.filter_func(result)) for result in task_results]
        if self.log_func is not None:
            left = [result for result, keep in zip(task_results, kept, strict=True) if not keep]
            self.logger.info("%s", self.log_func(left))
        return [result for result, keep in zip(task_results, kept, strict=True) if keep]


def _is_result(result: Any) -> bool:
    return result is not None and not isinstance(result, BaseException)

"""`@task`: a function as a task."""

from __future__ import annotations

from prefect.core import check
from prefect.core.call_signature import RunSignature
from prefect.core.task import Task, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, overload


class FunctionTask(Task):
    """A task that runs a function; what `@task` makes.

    It keeps the function's name, signature and docstring; `.run(...)` calls the function.

    Args:
        fn: what to run.
        name: for people; the function's name by default.
        **kwargs: the other arguments of `Task`.

    Raises:
        FlowError: the function cannot be a task: it takes `*args`, for example.
        TypeError, ValueError: another argument is wrong.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **kwargs: Any) -> None:
        function = check.function("what @task decorates", fn)
        if isinstance(function, Task):
            raise TypeError(f"{function!r} is a task already")
        if name is None:
            name = getattr(function, "__name__", type(function).__name__)
        super().__init__(name=name, **kwargs)
        self._signature = RunSignature.of(function, f"Task {name!r}")  # type: ignore[misc]
        self._type_name = type_name(function)  # type: ignore[misc]
        self.run = function  # type: ignore[method-assign]
        self.__wrapped__ = function  # where inspect and help find the signature
        self.__name__ = getattr(function, "__name__", name)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__module__ = getattr(function, "__module__", __name__)
        self.__qualname__ = getattr(function, "__qualname__", name)


_ELSEWHERE = {
    "cache_expiration": "cache_for",
    "cache_key_fn": "cache_key",
    "log_prints": "log_stdout",
    "on_completion": "on_success",
    "persist_result": "checkpoint",
    "retries": "max_retries",
    "retry_delay_seconds": "retry_delay",
    "timeout_seconds": "timeout",
}
"""What others call the arguments of `Task`."""

if TYPE_CHECKING:

    @overload
    def task(fn: Callable[..., Any]) -> FunctionTask: ...
    @overload
    def task(**task_args: Any) -> Callable[[Callable[..., Any]], FunctionTask]: ...


def task(
    fn: Callable[..., Any] | None = None, **task_args: Any
) -> FunctionTask | Callable[[Callable[..., Any]], FunctionTask]:
    """Make a function a task: `@task`, or `@task(max_retries=3, ...)`.

    Args:
        fn: what to run.
        **task_args: arguments of `Task`.

    Raises:
        FlowError: the function cannot be a task: it takes `*args`, for example.
        TypeError, ValueError: another argument is wrong.
    """
    for name in task_args:
        if name in _ELSEWHERE:
            raise TypeError(f"@task has no argument {name!r}: here it is {_ELSEWHERE[name]!r}")
    if fn is not None:
        return FunctionTask(fn, **task_args)
    return lambda decorated: FunctionTask(decorated, **task_args)

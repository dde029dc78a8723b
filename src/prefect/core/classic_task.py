"""Arguments of tasks that classic Prefect had, and that few tasks have.

Some about where results are stored have no meaning here: whoever gives one is told so.
"""

from __future__ import annotations

from os import PathLike, fspath

from prefect.core import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

UNSTORED = ("cache_validator", "target")
"""About stored results, and without a meaning here."""


def retry_on(value: Any) -> Any:
    """Check a class of exceptions, or several."""
    if value is None:
        return None
    kinds = (
        (value,)
        if isinstance(value, type)
        else tuple(check.listed("retry_on", "exceptions", value))
    )
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise check.wrong("retry_on", "a class of exceptions, or several", kind)
    return kinds


def task_run_name(value: Any) -> Any:
    """Check a template, or a function that makes a name."""
    if value is None or callable(value) or isinstance(value, str):
        return value
    raise check.wrong("task_run_name", "a template, or a function that returns a name", value)


def cache_for(value: Any) -> timedelta:
    """Check how long a result may be taken."""
    from datetime import timedelta  # noqa: PLC0415  # few tasks have one

    if not isinstance(value, timedelta):
        raise check.wrong("cache_for", "a timedelta", value)
    if value <= timedelta():
        raise ValueError(f"cache_for must be more than nothing, not {value}")
    return value


def cache_key(value: Any) -> Any:
    """Check a text, or a function that makes one of a task's inputs."""
    if isinstance(value, str) or callable(value):
        return value
    raise check.wrong(
        "cache_key", "a text, or a function of the task's inputs that returns one", value
    )


def result(value: Any) -> Any:
    """Check where results are stored: a directory, a URL, or one of classic Prefect's objects."""
    if isinstance(value, str | PathLike):
        return fspath(check.path("result", value))
    if isinstance(value, type) or not hasattr(value, "where") or not hasattr(value, "stores"):
        raise check.wrong(
            "result",
            "a directory, a URL, or a Result such as prefect.engine.results.LocalResult",
            value,
        )
    return value


CHECKS: dict[str, Callable[[Any], Any]] = {
    "retry_on": retry_on,
    "task_run_name": task_run_name,
    "cache": lambda value: check.flag("cache", value),
    "cache_for": cache_for,
    "cache_key": cache_key,
    "checkpoint": lambda value: check.flag("checkpoint", value),
    "result": result,
    **dict.fromkeys(UNSTORED, lambda value: value),
}


def keep(task: Any, given: dict[str, Any]) -> None:
    """Set those that are given; the others are as the class has them."""
    for name, value in given.items():
        if value is not None:
            setattr(task, name, CHECKS[name](value))
    if caching := [name for name in ("cache_for", "cache_key") if given.get(name) is not None]:
        if given.get("cache") is False:
            raise ValueError(f"Task {task.name!r} has {caching[0]} and cache=False: leave one out")
        task.cache = True
    _keep_where(task, "Task")
    task.caches = task.cache and task.checkpoint is not False
    if task.cache and not task.caches:
        _warn(
            f"Task {task.name!r} is not to be stored, beside what caches it, so nothing is stored"
        )
    unstored = [name for name in UNSTORED if given.get(name)]
    if unstored:
        _warn(
            f"Task {task.name!r} has {', '.join(unstored)}, which has no meaning here. {_INSTEAD}"
        )


def _keep_where(one: Any, kind: str) -> None:
    """Have a task or a flow know where its results are stored, and say what of that has no meaning here."""
    found = one.result
    if found is None:
        return
    if isinstance(found, str):
        one.stored_in = found
        return
    if not found.stores:
        one.checkpoint = False
        return
    one.stored_in = found.where
    what = f"{kind} {one.name!r} has result={type(found).__name__}(...)"
    if one.stored_in is None:
        _warn(f"{what} without a place. {_INSTEAD}")
    if found.unused:
        _warn(
            f"{what} with {', '.join(found.unused)}, which has no meaning here: "
            "results lie there by their digests, in a form that suits them"
        )


def keep_result(flow: Any, given: Any) -> None:
    """Have a flow know where the results of its tasks are stored."""
    flow.result = result(given)
    if not getattr(flow.result, "stores", True):
        _warn(
            f"Flow {flow.name!r} has result={type(flow.result).__name__}(...), which has no meaning here: give the "
            "tasks checkpoint=False whose results may not be stored"
        )
        return
    _keep_where(flow, "Flow")


_INSTEAD = (
    "Where results are stored is for a run to say, flow.run(store=...), or for a task, "
    "@task(result=DIRECTORY or URL); and whether one is taken from an earlier run for a task, @task(cache=True)"
)


def _warn(what: str) -> None:
    import warnings  # noqa: PLC0415  # seldom needed

    warnings.warn(what, stacklevel=_of_user())


def _of_user() -> int:
    """Return the number of the innermost frame that is not of this package, for a warning."""
    import sys  # noqa: PLC0415

    number, frame = 1, sys._getframe(1)  # noqa: SLF001  # as warnings itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("prefect."):
        number, frame = number + 1, frame.f_back
    return number


def run_name(task: Any, inputs: dict[str, Any], context: dict[str, Any]) -> str | None:
    """Return what a run of a task is called, if it has a name of its own."""
    made = task.task_run_name
    if callable(made):
        made = made(**{**context, **inputs})
    elif made is not None:
        made = made.format(**{**context, **inputs})
    return made if made is None else str(made)


def inputs_of(task: Any) -> dict[str, dict[str, Any]]:
    """Return the arguments of a task's `run`: of each its type, and whether it must be given."""
    from typing import Any as Anything  # noqa: PLC0415  # slow to import

    types, signature = _types(task), task._signature  # noqa: SLF001  # of this package
    return {
        name: {"type": types.get(name, Anything), "required": name in signature.required}
        for name in signature.names
    }


def outputs_of(task: Any) -> Any:
    """Return the type of what a task's `run` returns, as it is annotated; else Any."""
    from typing import Any as Anything  # noqa: PLC0415  # slow to import

    return _types(task).get("return", Anything)


def _types(task: Any) -> dict[str, Any]:
    from typing import get_type_hints  # noqa: PLC0415  # slow to import

    try:
        return get_type_hints(task.run)
    except Exception:  # noqa: BLE001  # annotations may refer to what only type checkers see
        return {}

"""Checks of the arguments that people give to tasks, flows, environments and executors.

Each returns the argument in the form in which it is kept, or raises a TypeError (another type)
or a ValueError (a value that makes no sense), which names it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta
    from os import PathLike
    from typing import Any

    from prefect.core.state import State

LONGEST = 366 * 24 * 3600
"""A year, in seconds: more than any operating system's timers are sure to take."""

_LONGEST_SHOWN = 80


def wrong(what: str, wanted: str, value: Any) -> TypeError:
    """Return the error for an argument of another type than the wanted one."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  # a repr is anybody's code
        shown = f"a {type(value).__name__}"
    if len(shown) > _LONGEST_SHOWN:
        shown = f"{shown[:_LONGEST_SHOWN]}..."
    return TypeError(f"{what} is {wanted}, not {shown}")


class OnFailure:
    """A state handler that calls a function when the new state is a failure."""

    def __init__(self, function: Callable[[Any, State], Any]) -> None:
        self.function = function

    def __call__(self, obj: Any, old_state: State, new_state: State) -> None:  # noqa: ARG002
        """Call the function if the object failed."""
        if new_state.is_failed():
            self.function(obj, new_state)


class OnSuccess(OnFailure):
    """A state handler that calls a function when the new state is a success: not when it is mapped."""

    def __call__(self, obj: Any, old_state: State, new_state: State) -> None:  # noqa: ARG002
        """Call the function if the object succeeded."""
        if new_state.is_successful() and not new_state.is_mapped():
            self.function(obj, new_state)


def handlers(
    state_handlers: Iterable[Any] | None,
    on_failure: Callable[[Any, State], Any] | None = None,
    on_success: Callable[[Any, State], Any] | None = None,
) -> list[Any]:
    """Check state handlers; those for failures and successes come last."""
    if callable(state_handlers):
        raise TypeError("state_handlers takes a list of functions, not one function")
    checked = []
    if state_handlers is not None:
        given = listed("state_handlers", "functions", state_handlers)
        checked = [function("Each state handler in state_handlers", handler) for handler in given]
    if on_failure is not None:
        checked.append(OnFailure(function("on_failure", on_failure)))
    if on_success is not None:
        checked.append(OnSuccess(function("on_success", on_success)))
    return checked


def instance(what: str, value: Any, kind: type) -> None:
    """Check the type of what is not kept."""
    if not isinstance(value, kind):
        raise wrong(what, f"a {kind.__name__}", value)


def function(what: str, value: Any) -> Any:
    """Check something that will be called."""
    if not callable(value):
        raise wrong(what, "a function", value)
    return value


def flag(what: str, value: Any) -> bool:
    """Check a switch: what else counts as true or false is a slip."""
    if value is not True and value is not False:
        raise wrong(what, "True or False", value)
    return bool(value)


def listed(what: str, of: str, value: Any) -> Iterable[Any]:
    """Check a list, or what else has items, before it is gone through; neither a text nor a task."""
    one = isinstance(value, str | bytes | type) or hasattr(value, "set_upstream")
    if one or not hasattr(value, "__iter__"):
        raise wrong(what, f"a list of {of}", value)
    items: Iterable[Any] = value
    return items


def mapping(what: str, of: str, value: Any) -> Mapping[str, Any]:
    """Check a dict, or what is like one."""
    if isinstance(value, type) or not hasattr(value, "keys"):
        raise wrong(what, f"a dict of {of}", value)
    items: Mapping[str, Any] = value
    return items


def named(what: str, of: str, value: Any) -> dict[str, Any]:
    """Check a dict, or what is like one, whose keys are names."""
    found = dict(mapping(what, of, value))
    for name in found:
        if not isinstance(name, str):
            raise wrong(f"a name in {what}", "a str", name)
    return found


def path(what: str, value: Any) -> str | PathLike[str]:
    """Check the name of a file or a directory."""
    if isinstance(value, type) or not (isinstance(value, str) or hasattr(value, "__fspath__")):
        raise wrong(what, "a path, a str or an os.PathLike", value)
    if isinstance(value, str) and not value:
        raise ValueError(f"{what} must not be empty")
    if "\0" in str(value):
        raise ValueError(f"{what} must not have a null character: {value!r}")
    named: str | PathLike[str] = value
    return named


def moment(what: str, value: Any) -> datetime:
    """Check an aware datetime."""
    if isinstance(value, type) or not hasattr(value, "tzinfo") or not hasattr(value, "date"):
        raise wrong(what, "a datetime", value)
    if value.tzinfo is None:
        raise ValueError(f"{what} needs a timezone: datetime.now(UTC) + ...")
    found: datetime = value
    return found


def resume(value: Any) -> None:
    """Check what a run is to go on with; an empty name would have it begin anew, in silence."""
    if value is not None and not isinstance(value, bool):
        if not isinstance(value, str):
            raise wrong("resume", "the name of a run, or True", value)
        text("resume", value)


def trigger(value: Any) -> Any:
    """Check a trigger."""
    return function("A trigger", value)


def text(what: str, value: Any) -> str:
    """Check a string that must not be empty."""
    if not isinstance(value, str):
        raise wrong(what, "a string", value)
    if not value:
        raise ValueError(f"{what} must not be empty")
    return value


def text_or_none(what: str, value: Any) -> str | None:
    """Check a string that may be missing, or empty."""
    if value is not None and not isinstance(value, str):
        raise wrong(what, "a string", value)
    return value


def slug(value: Any) -> str | None:
    """Check a task's slug."""
    return None if value is None else text("slug", value)


def tags(value: Any) -> set[str]:
    """Check a collection of strings."""
    if isinstance(value, str):
        raise TypeError(f"tags is a set of strings, not one string: {{{value!r}}}")
    if value is None:
        return set()
    checked = list(listed("tags", "strings", value))
    if not all(isinstance(tag, str) for tag in checked):
        raise TypeError(f"tags are strings, not {value!r}")
    return set(checked)


def count(what: str, value: Any) -> int:
    """Check a number of things."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(what, "a whole number", value)
    if value < 0:
        raise ValueError(f"{what} must not be negative: {value}")
    return value


def limits(value: Any) -> dict[str, int] | None:
    """Check numbers of tasks by tag."""
    return _amounts("limits", "tag", value)


def resources(value: Any) -> dict[str, int] | None:
    """Check how much of what a task needs."""
    return _amounts("resources", "name", value) or None


def _amounts(what: str, of: str, value: Any) -> dict[str, int] | None:
    if value is None:
        return None
    checked = dict(mapping(what, f"numbers by {of}", value))
    for name, number in checked.items():
        text(f"Each {of} in {what}", name)
        if count(f"{what}[{name!r}]", number) < 1:
            raise ValueError(f"{what}[{name!r}] must be at least 1")
    return checked


def executor(value: Any) -> Any:
    """Check an executor, or the text form of one, which is returned in its one spelling."""
    if isinstance(value, str):
        from prefect.core.executor_text import normal  # noqa: PLC0415  # seldom needed

        return normal(value)
    if value is not None and (
        isinstance(value, type) or not callable(getattr(value, "start", None))
    ):
        hint = ": call it to make one" if isinstance(value, type) else ""
        raise TypeError(f"{value!r} is not an executor{hint}; see prefect.engine.executors")
    return value


def executor_text(what: str, value: Any) -> str:
    """Check an executor that is to travel, and return its text form."""
    from prefect.core.executor_text import normal, text_of  # noqa: PLC0415  # seldom needed

    text = text_of(executor(value))
    if text is None:
        raise ValueError(
            f"{what} has no text form, by which alone it could travel: choose one such as threads:8, or "
            "a Dask scheduler's address"
        )
    return normal(text)


def nout(value: Any) -> int | None:
    """Check a number of values that are returned."""
    return None if value is None else count("nout", value)


def seconds(what: str, value: Any) -> float:
    """Check a timedelta or number of seconds."""
    total_seconds = getattr(value, "total_seconds", None)
    if total_seconds is not None:
        value = total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(what, "a timedelta or a number of seconds", value)
    if not 0 <= value <= LONGEST:
        raise ValueError(f"{what} must be from 0 to {LONGEST} seconds, not {value}")
    return value


def delay(value: Any) -> timedelta | None:
    """Check the time to wait before a retry."""
    if value is None:
        return None
    from datetime import timedelta  # noqa: PLC0415  # seldom needed

    return timedelta(seconds=seconds("retry_delay", value))


def timeout(value: Any) -> float | None:
    """Check the time that a task may take."""
    if value is None:
        return None
    if not (checked := seconds("timeout", value)):
        raise ValueError("timeout must be more than 0 seconds")
    return checked


TASK_ARGS: dict[str, Callable[[Any], Any]] = {
    "name": lambda value: text("name", value),
    "slug": slug,
    "tags": tags,
    "max_retries": lambda value: count("max_retries", value),
    "retry_delay": delay,
    "timeout": timeout,
    "trigger": trigger,
    "skip_on_upstream_skip": lambda value: flag("skip_on_upstream_skip", value),
    "state_handlers": handlers,
    "at_most_once": lambda value: flag("at_most_once", value),
    "log_stdout": lambda value: flag("log_stdout", value),
    "nout": nout,
    "resources": resources,
}
"""The arguments that a copy of a task may have differently."""

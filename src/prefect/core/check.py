"""Checks of the arguments that tasks and flows are constructed with.

Each returns the argument in the form in which it is kept, or raises a TypeError (another type)
or a ValueError (a value that makes no sense).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta
    from typing import Any

    from prefect.core.state import State

LONGEST = 366 * 24 * 3600
"""A year, in seconds: more than any operating system's timers are sure to take."""


class OnFailure:
    """A state handler that calls a function when the new state is a failure."""

    def __init__(self, function: Callable[[Any, State], Any]) -> None:
        self.function = function

    def __call__(self, obj: Any, old_state: State, new_state: State) -> None:  # noqa: ARG002
        """Call the function if the object failed."""
        if new_state.is_failed():
            self.function(obj, new_state)


def handlers(
    state_handlers: Iterable[Any] | None, on_failure: Callable[[Any, State], Any] | None = None
) -> list[Any]:
    """Check state handlers; the one for failures comes last."""
    if callable(state_handlers):
        raise TypeError("state_handlers takes a list of functions, not one function")
    checked = [function("a state handler", handler) for handler in state_handlers or ()]
    if on_failure is not None:
        checked.append(OnFailure(function("on_failure", on_failure)))
    return checked


def instance(value: Any, kind: type) -> None:
    """Check the type of what is not kept."""
    if not isinstance(value, kind):
        raise TypeError(f"A {kind.__name__} is needed here, not {value!r}")


def function(what: str, value: Any) -> Any:
    """Check something that will be called."""
    if not callable(value):
        raise TypeError(f"{what} is a function, not {value!r}")
    return value


def trigger(value: Any) -> Any:
    """Check a trigger."""
    return function("A trigger", value)


def text(what: str, value: Any) -> str:
    """Check a string that must not be empty."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is a string, not {value!r}")
    if not value:
        raise ValueError(f"{what} must not be empty")
    return value


def slug(value: Any) -> str | None:
    """Check a task's slug."""
    return None if value is None else text("slug", value)


def tags(value: Any) -> set[str]:
    """Check a collection of strings."""
    if isinstance(value, str):
        raise TypeError(f"tags is a set of strings, not one string: {{{value!r}}}")
    checked = set(value or ())
    if not all(isinstance(tag, str) for tag in checked):
        raise TypeError(f"tags are strings, not {value!r}")
    return checked


def count(what: str, value: Any) -> int:
    """Check a number of things."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is a whole number, not {value!r}")
    if value < 0:
        raise ValueError(f"{what} must not be negative: {value}")
    return value


def nout(value: Any) -> int | None:
    """Check a number of values that are returned."""
    return None if value is None else count("nout", value)


def seconds(what: str, value: Any) -> float:
    """Check a timedelta or number of seconds."""
    total_seconds = getattr(value, "total_seconds", None)
    if total_seconds is not None:
        value = total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} is a timedelta or a number of seconds, not {value!r}")
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
    "skip_on_upstream_skip": bool,
    "state_handlers": handlers,
    "log_stdout": bool,
    "nout": nout,
}
"""The arguments that a copy of a task may have differently."""

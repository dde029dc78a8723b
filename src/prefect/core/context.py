"""`prefect.context`: what a task may know of the run that it is part of.

During a run it holds `parameters`, `flow_name`, `scheduled_start_time` and `date` (aware
datetimes), `today`, `yesterday` and `tomorrow` ("2026-01-31"; `today_nodash` and the like
"20260131"), and for a task `task_name`, `task_slug`, `map_index`,
`task_run_count` and `logger`. Where the run has a directory for the files that it makes, `output_dir` is
its absolute `pathlib.Path`. Each thread, and each flow run within another, sees its own.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
    from contextvars import Token
    from datetime import datetime
    from typing import Any, Protocol

    from prefect.core.flow import Flow

    class Supplier(Protocol):
        """Knows the values for a task."""

        def context_values(self) -> dict[str, Any]:
            """Return them."""


values: ContextVar[dict[str, Any] | Supplier] = ContextVar("prefect.context")
"""The current values, or what supplies them: few tasks ask. The dict is never changed, only replaced."""

building: ContextVar[Flow | None] = ContextVar("prefect.building", default=None)
"""The flow whose `with` block is being executed."""


def current() -> dict[str, Any]:
    """Return the values that the context has here."""
    found = values.get(None)
    if found is None:
        return {}
    return found if isinstance(found, dict) else found.context_values()


class Context:
    """Like a dict whose items are attributes, too. `with context(a=1):` changes it for a block.

    What is set without a block holds until the task ends, or the block that it is set in.
    """

    __slots__ = ()

    def __call__(self, *more: Mapping[str, Any], **changes: Any) -> Scope:
        """Return a context manager within which these values are added."""
        return Scope({**{k: v for each in more for k, v in each.items()}, **changes})

    def __getattr__(self, name: str) -> Any:
        known = current()
        if name in known:
            return known[name]
        if name == "logger":
            return task_logger(known.get("task_name"))
        if name == "task_run_id" and "task_slug" in known:
            return _id_of(f"{known['flow_run_id']} {known['task_slug']} {known['map_index']}")
        if name == "output_dir":
            raise AttributeError(
                "This run has no output directory: give it one with `prefect run --output DIR` or "
                "run(..., output=DIR), or read prefect.context.get('output_dir'), which is None then"
            )
        raise AttributeError(
            f"prefect.context has no {name!r}; set it with `with prefect.context({name}=...):`, "
            f"or read it with prefect.context.get({name!r})"
        )

    def __setattr__(self, name: str, value: object) -> None:
        self.update({name: value})

    def __setitem__(self, name: str, value: object) -> None:
        self.update({name: value})

    def update(self, *more: Mapping[str, Any], **changes: Any) -> None:
        """Set values."""
        values.set(dict(current(), **{k: v for each in more for k, v in each.items()}, **changes))

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return a value; set it first, if it is not set."""
        if name not in current():
            self.update({name: default})
        return current()[name]

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self.to_dict().keys()

    def values(self) -> ValuesView[Any]:
        """Return the values."""
        return self.to_dict().values()

    def items(self) -> ItemsView[str, Any]:
        """Return the names and values."""
        return self.to_dict().items()

    def copy(self) -> dict[str, Any]:
        """Return a copy of the current values."""
        return self.to_dict()

    def __len__(self) -> int:
        return len(current())

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise KeyError(name) from error

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or the default if it is not set."""
        return getattr(self, name, default)

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the current values."""
        return dict(current())

    def __contains__(self, name: object) -> bool:
        return name == "logger" or name in current()

    def __iter__(self) -> Iterator[str]:
        return iter(current())

    def __repr__(self) -> str:
        return f"<Context: {', '.join(self)}>"


class Scope:
    """A block in which the context has other values; may be entered again, not twice at once."""

    __slots__ = ("_changes", "_token")

    def __init__(self, changes: dict[str, Any]) -> None:
        self._changes = changes
        self._token: Token[dict[str, Any] | Supplier] | None = None

    def __enter__(self) -> Context:
        self._token = values.set({**current(), **self._changes})
        return context

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            values.reset(self._token)
            self._token = None


def ambient_tags() -> set[str]:
    """Return the tags that the tasks made here have beside their own."""
    return set() if values.get(None) is None else set(current().get("tags", ()))


def _id_of(text: str) -> str:
    import uuid  # noqa: PLC0415  # seldom needed

    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


def ids_of_a_run() -> dict[str, str]:
    """Return what the context of a run has to tell it from others."""
    text = os.urandom(16).hex()
    found = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    return {"flow_run_id": found, "flow_run_name": found}


def dates(start: datetime) -> dict[str, Any]:
    """Return what the context of a run that starts now has of the calendar."""
    day = start.date()
    found: dict[str, Any] = {"scheduled_start_time": start, "date": start}
    for name, number in (("today", 0), ("yesterday", -1), ("tomorrow", 1)):
        text = day.fromordinal(day.toordinal() + number).isoformat()
        found |= {name: text, f"{name}_nodash": text.replace("-", "")}
    return found


def task_logger(task_name: str | None) -> logging.Logger:
    """Return a task's logger, `prefect.task.<name>`; without a name, `prefect`."""
    import logging  # noqa: PLC0415  # slow to import

    from prefect.core.shown import show  # noqa: PLC0415  # with logging

    show()
    return logging.getLogger("prefect" if task_name is None else f"prefect.task.{task_name}")


context = Context()

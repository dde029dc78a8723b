"""Sets and lists that each task has for itself, of which most are empty and never asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OWN = frozenset({"tags", "state_handlers"})
"""The attributes of tasks that are such; `vars(task)` has those that are not empty, or were asked for."""


class own:  # noqa: N801  # reads as a function
    """An attribute that is made, and from then on the instance's, when it is first asked for.

    Args:
        kind: what makes it.
    """

    __slots__ = ("_kind", "_name")

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        made = instance.__dict__[self._name] = self._kind()
        return made


def has_handlers(task: Any) -> bool:
    """Tell whether a task has state handlers, without making a list that stays empty."""
    return bool(task.__dict__.get("state_handlers"))

"""What states have besides, as those of classic Prefect had: seldom needed in a run here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ClassicState:
    """Dicts of what else is to be known, questions that most kinds answer with no, descriptions."""

    __slots__ = ("_cached_inputs", "_context")
    if TYPE_CHECKING:
        message: str | None

        @classmethod
        def _data(cls) -> tuple[str, ...]: ...

    @property
    def context(self) -> dict[str, Any]:
        """What else is to be known of it; nothing, unless somebody has put it there."""
        return self._dict("_context")

    @context.setter
    def context(self, context: dict[str, Any]) -> None:
        self._context = context

    @property
    def cached_inputs(self) -> dict[str, Any]:
        """What the task was given; nothing, unless somebody has put it there."""
        return self._dict("_cached_inputs")

    @cached_inputs.setter
    def cached_inputs(self, inputs: dict[str, Any]) -> None:
        self._cached_inputs = inputs

    def _dict(self, name: str) -> dict[str, Any]:
        """Return a dict that few states have, and make it where it is asked for."""
        if not hasattr(self, name):
            setattr(self, name, {})
        found: dict[str, Any] = getattr(self, name)
        return found

    # Of what few states are; those that are say so themselves.

    def is_cached(self) -> bool:
        """Whether an earlier run came to it."""
        return False

    def is_looped(self) -> bool:
        """Whether it runs again."""
        return False

    def is_meta_state(self) -> bool:
        """Whether it is about another state."""
        return False

    def is_queued(self) -> bool:
        """Whether it waits for its turn."""
        return False

    def is_submitted(self) -> bool:
        """Whether it was given to what will run it."""
        return False

    def serialize(self) -> dict[str, Any]:
        """Describe it in plain JSON values, without its result."""
        from prefect.core.value_types import json_form  # noqa: PLC0415  # seldom needed

        data = {name: getattr(self, name) for name in self._data() if name != "result"}
        more = {"type": type(self).__name__, "message": self.message, "context": self.context}
        data.pop("map_states", None)
        return {**more, **{name: json_form(value) for name, value in data.items()}}

    @classmethod
    def children(cls, include_self: bool = False, names_only: bool = False) -> list[Any]:
        """Return all kinds of states below this one.

        Args:
            include_self: whether to return this one, too.
            names_only: whether to return their names.
        """
        below = [each for kind in cls.__subclasses__() for each in kind.children(True)]
        found = [cls, *below] if include_self else below
        return [each.__name__ for each in found] if names_only else found

    @classmethod
    def parents(cls, include_self: bool = False, names_only: bool = False) -> list[Any]:
        """Return all kinds of states above this one.

        Args:
            include_self: whether to return this one, too.
            names_only: whether to return their names.
        """
        above = (*cls.__mro__[1:], cls) if include_self else cls.__mro__[1:]
        found = [
            each for each in above if issubclass(each, ClassicState) and each is not ClassicState
        ]
        return [each.__name__ for each in found] if names_only else found

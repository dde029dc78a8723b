"""What states have besides, as those of classic Prefect had: seldom needed in a run here."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from prefect.core.state import State


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

        def told(value: Any) -> Any:
            if isinstance(value, list):  # of a mapped task's children
                return [told(item) for item in value]
            return value.serialize() if isinstance(value, ClassicState) else json_form(value)

        data = {name: told(getattr(self, name)) for name in self._data() if name != "result"}
        return {
            "type": type(self).__name__,
            "message": self.message,
            "context": json_form(self.context),
            **data,
        }

    def load_result(self, result: Any = None) -> Self:  # noqa: ARG002  # classic Prefect's
        """Return this state, which has its result.

        Args:
            result: has no meaning here.
        """
        return self

    def load_cached_results(self, results: Any = None) -> Self:  # noqa: ARG002  # the same
        """Return this state, which has its inputs, if it has any.

        Args:
            results: has no meaning here.
        """
        return self

    @classmethod
    def deserialize(cls, json_blob: Mapping[str, Any]) -> State:
        """Return the state that `serialize` describes; it has no result.

        Args:
            json_blob: what `serialize` returned; more than that is passed over.

        Raises:
            TypeError: it is no such description.
            ValueError: it is of no kind of state that there is.
        """
        from prefect.core import check  # noqa: PLC0415  # seldom needed
        from prefect.core.state import State  # noqa: PLC0415
        from prefect.core.state_kinds import Cached  # noqa: F401, PLC0415  # and all kinds with it

        told = check.mapping("json_blob", "what describes a state", json_blob)
        kinds = {kind.__name__: kind for kind in State.children(include_self=True)}
        if (kind := kinds.get(told.get("type"))) is None:
            raise ValueError(f"There is no kind of state {told.get('type')!r}")
        state: State = kind(told.get("message"), context=dict(told.get("context") or {}))
        for name in kind._data():  # noqa: SLF001  # of this class
            if name != "result" and name in told:
                setattr(state, name, _restored(name, told[name]))
        return state

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


def _restored(name: str, value: Any) -> Any:
    """Return what JSON values of a state's attribute were."""
    if isinstance(value, list):  # of a mapped task's children
        return [_restored("state", item) for item in value]
    if name == "state" and value is not None:
        return ClassicState.deserialize(value)
    if name in _MOMENTS and value is not None:
        from datetime import datetime  # noqa: PLC0415  # seldom needed

        return datetime.fromisoformat(value)
    return value


_MOMENTS = ("start_time", "cached_result_expiration")

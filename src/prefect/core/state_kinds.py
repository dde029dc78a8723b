"""States that classic Prefect had as well: few of them are met with in a run here.

Scheduled > Paused, Resume          waits for somebody's word; has got it
Running > Cancelling
Finished > Looped, Cancelled
Success > Cached
Failed > ValidationFailed
MetaState > Submitted, Queued, ClientFailed     says how another state is dealt with
"""

from __future__ import annotations

from prefect.core.check import count
from prefect.core.state import Failed, Finished, Running, Scheduled, State, Success, now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any


class Paused(Scheduled):
    """Waits until somebody lets it go on, or until `start_time`, an aware datetime, if there is one.

    Raises:
        ValueError: the datetime is not aware.
    """

    __slots__ = ()
    color = "#99a8e8"
    start_time: datetime | None  # type: ignore[assignment]  # unlike all others that wait

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, start_time, **more)
        if start_time is None:
            self.start_time = None


class Resume(Scheduled):
    """May go on after it was paused."""

    __slots__ = ()
    color = "#f58c0c"


class Cancelling(Running):
    """Being run, and to end soon."""

    __slots__ = ()
    color = "#E8E8E8"


class Cancelled(Finished):
    """Ended from outside: neither well nor badly."""

    __slots__ = ()
    color = "#bdbdbd"


class Looped(Finished):
    """Has run `loop_count` times, and runs again."""

    __slots__ = ("loop_count",)

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        loop_count: int | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, **more)
        self.loop_count = 1 if loop_count is None else count("loop_count", loop_count)

    def is_looped(self) -> bool:
        """Whether it runs again: it does."""
        return True

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        return ("result", "loop_count")


class Cached(Success):
    """Finished well, by what an earlier run had come to."""

    __slots__ = ("cached_parameters", "cached_result_expiration", "hashed_inputs")
    color = "#34d058"

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        *,
        cached_parameters: dict[str, Any] | None = None,
        cached_result_expiration: datetime | None = None,
        hashed_inputs: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, **more)
        self.cached_parameters = cached_parameters
        self.cached_result_expiration = cached_result_expiration
        self.hashed_inputs = hashed_inputs

    def is_cached(self) -> bool:
        """Whether an earlier run came to it: it did."""
        return True

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        return ("result", "cached_parameters", "cached_result_expiration", "hashed_inputs")


class ValidationFailed(Failed):
    """Ran, and its result is not valid."""

    __slots__ = ()
    color = "#ff5131"


class MetaState(State):
    """Says how `state`, another one, is dealt with."""

    __slots__ = ("state",)

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        state: State | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, **more)
        self.state = state

    def is_meta_state(self) -> bool:
        """Whether it is about another state: it is."""
        return True

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        return ("result", "state")


class ClientFailed(MetaState):
    """The state could not be told to a server."""

    __slots__ = ()
    color = "#eb0000"


class Submitted(MetaState):
    """Given to what will run it."""

    __slots__ = ()
    color = "#ffdf5d"

    def is_submitted(self) -> bool:
        """Whether it was given to what will run it: it was."""
        return True


class Queued(MetaState):
    """Waits for its turn since `start_time`."""

    __slots__ = ("start_time",)
    color = "#ffea7f"

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        state: State | None = None,
        start_time: datetime | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, state, **more)
        self.start_time = start_time or now()

    def is_queued(self) -> bool:
        """Whether it waits for its turn: it does."""
        return True

    def is_scheduled(self) -> bool:
        """Whether it waits for a time: it does."""
        return True

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        return ("result", "state", "start_time")


KINDS: dict[str, type[State]] = {
    kind.__name__: kind
    for kind in State.children(include_self=True)
    if kind.__module__ in {State.__module__, __name__}
}
"""All kinds of states of this package, by their names."""

FAILED = frozenset(name for name, kind in KINDS.items() if issubclass(kind, Failed))
"""The names of those that are failures."""


def kind_name(state: State) -> str:
    """Return the name of a state's kind, by which other processes know it; of one's own, that below it."""
    return next(kind.__name__ for kind in type(state).__mro__ if kind in KINDS.values())

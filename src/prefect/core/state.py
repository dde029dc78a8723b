"""What a task, or a flow, has come to.

    State
    ├── Pending             not started
    │   └── Scheduled       not to start before a time
    │       └── Retrying    failed, and will be tried again
    ├── Running
    └── Finished
        ├── Success
        │   ├── Mapped      expanded into children, one for each item
        │   └── Skipped     deliberately not run; counts as a success
        └── Failed
            ├── TimedOut
            └── TriggerFailed   not run, because of what came before it

`result` is the value of a success and the exception of a failure; for a flow it is a dict of
each task's state.
"""

from __future__ import annotations

from prefect.core.check import count, instance, listed, moment, text_or_none
from prefect.core.classic_state import ClassicState
from prefect.core.refs import Ref, gathered
from prefect.core.tracebacks import format_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Any, ClassVar


class State(ClassicState):
    """Base class of all states.

    Two states are equal when their type and data are; messages do not count.

    Args:
        message: one line for people, or None.
        result: the value, or the exception of a failure.
        context: what else is to be known of it, by name.
        cached_inputs: what the task was given, by name.

    Raises:
        TypeError: the message is no text.
    """

    __slots__ = ("_traceback", "held", "message")
    color: ClassVar[str] = "#696969"
    """In which it is drawn."""

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        *,
        context: dict[str, Any] | None = None,
        cached_inputs: dict[str, Any] | None = None,
    ) -> None:
        if message is not None and type(message) is not str:
            message = text_or_none("message", message)
        self.message = message
        self.held = result  # or a reference to it; the engine passes that on as it is
        self._traceback: str | None = None
        if context is not None:
            self.context = context
        if cached_inputs is not None:
            self.cached_inputs = cached_inputs

    @property
    def result(self) -> Any:
        """The value, or the exception of a failure. One that lies on a cluster is fetched.

        Raises:
            ResultUnavailableError: the value was released, or its cluster is gone.
        """
        held = self.held
        return held.fetch() if isinstance(held, Ref) else held

    @result.setter
    def result(self, result: Any) -> None:
        self.held = result

    @property
    def traceback(self) -> str | None:
        """The traceback of the exception in `result` as text, or None if there is none.

        It survives pickling, which an exception's own traceback does not.
        """
        if self._traceback is None and isinstance(self.held, BaseException):
            self._traceback = format_traceback(self.held)
        return self._traceback

    @traceback.setter
    def traceback(self, text: str | None) -> None:
        self._traceback = text

    def is_pending(self) -> bool:
        """Whether it has not started; true of Scheduled and Retrying too."""
        return isinstance(self, Pending)

    def is_scheduled(self) -> bool:
        """Whether it waits for a time; true of Retrying too."""
        return isinstance(self, Scheduled)

    def is_retrying(self) -> bool:
        """Whether it failed and waits for another try."""
        return isinstance(self, Retrying)

    def is_running(self) -> bool:
        """Whether it is being run."""
        return isinstance(self, Running)

    def is_finished(self) -> bool:
        """Whether it is over, well or badly."""
        return isinstance(self, Finished)

    def is_successful(self) -> bool:
        """Whether it finished well; true of Skipped and Mapped too."""
        return isinstance(self, Success)

    def is_failed(self) -> bool:
        """Whether it finished badly."""
        return isinstance(self, Failed)

    def is_skipped(self) -> bool:
        """Whether it was skipped."""
        return isinstance(self, Skipped)

    def is_mapped(self) -> bool:
        """Whether it is the parent of mapped children."""
        return isinstance(self, Mapped)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        names = ["held" if name == "result" else name for name in self._data()]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = object.__hash__  # results need not be hashable

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"<{kind}: {self.message!r}>" if self.message else f"<{kind}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a small table, without values."""
        from prefect.core.notebooks import state_html  # noqa: PLC0415  # for notebooks alone

        return state_html(self)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        self.traceback  # noqa: B018  # written out now: the exception loses its own when pickled
        data = {
            n: getattr(self, n) for n in ("message", "_traceback", *self._data()) if n != "result"
        }
        data |= {n: getattr(self, n) for n in ("_context", "_cached_inputs") if hasattr(self, n)}
        return None, {**data, "result": self.held}  # a reference becomes its value, if it has one

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        """Name the attributes that make up a state's data."""
        return ("result",)


class Pending(State):
    """Not started."""

    __slots__ = ()
    color = "#7ebdff"


class Scheduled(Pending):
    """Not to start before `start_time`: an aware datetime; now, if None.

    Raises:
        ValueError: the datetime is not aware.
    """

    __slots__ = ("start_time",)
    color = "#ffab00"

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, **more)
        self.start_time = now() if start_time is None else moment("start_time", start_time)

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        return ("result", "start_time")


class Retrying(Scheduled):
    """Failed, and to be tried again at `start_time`; `run_count` tries have been made."""

    __slots__ = ("run_count",)
    color = "#f66a0a"

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        run_count: int = 1,
        **more: Any,
    ) -> None:
        super().__init__(message, result, start_time, **more)
        self.run_count = count("run_count", run_count)

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        return ("result", "start_time", "run_count")


class Running(State):
    """Being run."""

    __slots__ = ()
    color = "#3d67ff"


class Finished(State):
    """Base class of the states that nothing follows."""

    __slots__ = ()
    color = "#003ccb"


class Success(Finished):
    """Finished well."""

    __slots__ = ()
    color = "#28a745"


class StateCounts:
    """How many states there are, and how many of them are of a kind."""

    __slots__ = ("failed", "skipped", "successful", "total")

    def __init__(self, states: Iterable[State] = ()) -> None:
        self.total = self.successful = self.skipped = self.failed = 0
        for state in states:
            self.count(state)

    def count(self, state: State) -> None:
        """Count one more."""
        self.total += 1
        if isinstance(state, Success):
            self.successful += 1
            if isinstance(state, Skipped):
                self.skipped += 1
        elif isinstance(state, Failed):
            self.failed += 1

    def add(self, more: StateCounts) -> None:
        """Count what has been counted before."""
        self.total += more.total
        self.successful += more.successful
        self.skipped += more.skipped
        self.failed += more.failed

    def all_ran_well(self) -> bool:
        """Tell whether none failed or was skipped."""
        return self.successful == self.total and not self.skipped


class Mapped(Success):
    """Expanded into children, whose states are `map_states` and whose results are `result`."""

    __slots__ = ("_counts", "map_states")
    color = "#003ccb"

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        map_states: list[State] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, **more)
        states = () if map_states is None else listed("map_states", "states", map_states)
        self.map_states: list[State] = list(states)
        for state in self.map_states:
            instance("Each of map_states", state, State)

    def gather(self, map_states: list[State]) -> None:
        """Take the states of all children, which have finished; count them, once for all who ask."""
        self.map_states = map_states
        self.held = gathered([state.held for state in map_states])
        self._counts = StateCounts(map_states)

    def counts(self) -> StateCounts:
        """Count the children by what they came to."""
        found: StateCounts | None = getattr(self, "_counts", None)
        return StateCounts(self.map_states) if found is None else found

    @classmethod
    def _data(cls) -> tuple[str, ...]:
        return ("result", "map_states")


class Skipped(Success):
    """Deliberately not run."""

    __slots__ = ()
    color = "#62757f"


class Failed(Finished):
    """Finished badly; `result` is the exception."""

    __slots__ = ()
    color = "#eb0000"


class TimedOut(Failed):
    """Took longer than the task's `timeout`."""

    __slots__ = ()
    color = "#ff4e33"


class TriggerFailed(Failed):
    """Not run, because the states of its upstream tasks did not satisfy its trigger."""

    __slots__ = ()
    color = "#ff5131"


def now() -> datetime:
    """Return the time, in UTC."""
    from datetime import UTC, datetime  # noqa: PLC0415  # not needed by most imports of prefect

    return datetime.now(UTC)


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return bool(a == b)
    except Exception:  # noqa: BLE001  # arrays and data frames refuse to be true or false
        return False

"""Exceptions that a task raises to end in a state of its choice.

```python
from prefect import task
from prefect.engine import signals

@task
def fetch(news):
    if not news:
        raise signals.SKIP("nothing new today")
    return news
```

Each carries that state as `.state`, with the signal's message and result.
"""

from __future__ import annotations

from prefect.core.state import Failed, Retrying, Skipped, State, Success, TriggerFailed
from prefect.core.state_kinds import Looped, Paused, ValidationFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any


class Signal(BaseException):  # what catches errors lets it through
    """Base class of all signals.

    Args:
        message: the state's message.
        result: the state's result.
        **more: what else the state has, such as its `context`.
    """

    _state_class: type[State] = State

    def __init__(self, message: str | None = None, result: Any = None, **more: Any) -> None:
        super().__init__(*(() if message is None else (message,)))
        self.state = self._state_class(message, result, **more)


class FAIL(Signal):
    """End as Failed; the result is the signal itself unless another is given."""

    _state_class = Failed

    def __init__(self, message: str | None = None, result: Any = None, **more: Any) -> None:
        super().__init__(message, self if result is None else result, **more)


class TRIGGERFAIL(FAIL):
    """End as TriggerFailed; what triggers raise."""

    _state_class = TriggerFailed


class SUCCESS(Signal):
    """End as Success, with a message and a result."""

    _state_class = Success


class SKIP(Signal):
    """End as Skipped."""

    _state_class = Skipped


class RETRY(Signal):
    """Try again at `start_time` (now, if None), however many retries there have been."""

    state: Retrying
    _state_class = Retrying

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, result, start_time=start_time, **more)


class VALIDATIONFAIL(FAIL):
    """End as ValidationFailed: the task ran, and what it made is not valid."""

    _state_class = ValidationFailed


class LOOP(Signal):
    """Run again, at once: `prefect.context` then has this result as `task_loop_result`."""

    _state_class = Looped


class PAUSE(Signal):
    """Wait for somebody's word."""

    _state_class = Paused


class ENDRUN(Signal):
    """End in a given state.

    Args:
        state: the state.
    """

    def __init__(self, state: State) -> None:
        super().__init__(state.message)
        self.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.state,)


PrefectStateSignal = Signal
"""What classic Prefect calls the base class."""

_BY_STATE: dict[str, type[Signal]] = {
    kind._state_class.__name__: kind  # noqa: SLF001  # of this module
    for kind in (FAIL, LOOP, PAUSE, RETRY, SKIP, SUCCESS, TRIGGERFAIL, VALIDATIONFAIL)
}


def signal_from_state(state: State) -> type[Signal]:
    """Return the class of the signals that end a task in a state like this.

    Args:
        state: the state.

    Raises:
        ValueError: no signal ends in such a state.
    """
    kind = _BY_STATE.get(type(state).__name__)
    if kind is None:
        raise ValueError(f"No signal ends in the state {type(state).__name__}")
    return kind

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any


class Signal(Exception):  # noqa: N818  # it ends a run, but is no error
    """Base class of all signals.

    Args:
        message: the state's message.
        result: the state's result.
    """

    _state_class: type[State] = State

    def __init__(self, message: str | None = None, result: Any = None) -> None:
        super().__init__(*(() if message is None else (message,)))
        self.state = self._state_class(message, result)


class FAIL(Signal):
    """End as Failed; the result is the signal itself unless another is given."""

    _state_class = Failed

    def __init__(self, message: str | None = None, result: Any = None) -> None:
        super().__init__(message, self if result is None else result)


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

    def __init__(
        self,
        message: str | None = None,
        result: Any = None,
        start_time: datetime | None = None,
    ) -> None:
        super().__init__(message, result)
        self.state = Retrying(message, result, start_time)

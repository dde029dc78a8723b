"""Calls state handlers."""

from __future__ import annotations

from prefect.core.signals import Signal
from prefect.core.state import Failed, State, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.flow import Flow
    from prefect.core.task import Task


def change_state(obj: Task | Flow, old: State, new: State) -> State:
    """Tell the handlers of a task or flow of its new state, and return what they make of it.

    Each may return another state, which the next one then sees; None leaves it. One that raises
    an exception ends it: the state is then that of a signal, or else Failed.
    """
    for handler in obj.state_handlers:
        try:
            returned = handler(obj, old, new)  # type: ignore[arg-type]  # each has its own kind
            if returned is not None and not isinstance(returned, State):
                raise TypeError(f"{handler!r} returned {returned!r}, which is not a State")  # noqa: TRY301
        except Signal as signal:
            return signal.state
        except Exception as error:  # noqa: BLE001  # anybody's code
            return Failed(f"a state handler raised {describe(error)}", error)
        if returned is not None:
            new = returned
    return new

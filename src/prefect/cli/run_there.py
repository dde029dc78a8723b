"""`prefect run` in another place than this process: what the worker tells there, told here."""

from __future__ import annotations

import gc
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from prefect.cli.output import say
from prefect.places.following import follow
from prefect.running.report import as_event, write_line
from prefect.running.stopping import BAD_INPUT, SUCCEEDED, exit_status, status_of_run
from prefect.secrets.masking import mask_until_exit

if TYPE_CHECKING:
    from prefect.cli.display import LiveDisplay
    from prefect.cli.wish import Wish
    from prefect.places.protocol import Place, Started, Work

_LAST_EVENTS = ('{"event": "flow"', '{"event": "error"')


def run_there(place: Place, work: Work, flow: dict[str, Any], wish: Wish) -> int:
    """Run the worker in a place; return the exit status of the command.

    Args:
        flow: as it is serialized; it is for a live display alone.

    Raises:
        PrefectError: the place cannot be made ready, or the worker cannot be followed.
    """
    mask_until_exit(work.secrets.values())
    display = None
    if wish.live:
        from prefect.cli.display import LiveDisplay  # noqa: PLC0415 - rich is for terminals

        display = LiveDisplay(flow)
    started: Started | None = None
    telling = _Telling(display, wish)
    try:
        started = place.start(work)
        gc.freeze()  # while the worker starts; what is imported the last collections may leave alone
        with display or nullcontext():
            follow(started, telling)
        status = started.wait()
        if wish.surroundings.may_have_killed(status):
            say("The run was killed, as happens where it takes more than --memory gives", err=True)
        told = _keep_result(started, work, wish)
        if status == SUCCEEDED and not (told and telling.has_ended):
            say(
                "Error: The run ended with status 0 and told nothing of what became of the flow, as where a "
                "task ends its process",
                err=True,
            )
            return BAD_INPUT
        return status_of_run(successful=True) if status == SUCCEEDED else status
    except KeyboardInterrupt as stop:
        if started is None:
            raise
        return exit_status(stop)  # the worker has told it
    finally:
        # Also on Ctrl-C and SIGTERM: what was started here does not stay behind.
        if started is not None:
            started.remove()


class _Telling:
    """Tells each line of a worker in the way that is wished for."""

    def __init__(self, display: LiveDisplay | None, wish: Wish) -> None:
        self._display = display
        self._as_json = wish.as_json
        self.has_ended = display is None and not wish.as_json
        """Whether the worker told what became of the flow; lines for people are not looked into."""

    def __call__(self, line: str) -> None:
        if not self.has_ended and line.startswith(_LAST_EVENTS):
            self.has_ended = True
        if self._display is not None:
            self._display.replay([line])
        else:
            write_line(as_event(line) if self._as_json else line, sys.stdout, sys.stderr)


def _is_there(wish: Wish) -> bool:
    return wish.result is not None and wish.result.exists()


def say_of_place(line: str) -> None:
    """Tell of a place that is made ready."""
    say(line, err=True)


def _keep_result(started: Started, work: Work, wish: Wish) -> bool:
    """Write the result where it is asked for; tell whether there is one, or none is asked for."""
    if work.result is None:
        return True
    data = started.result()
    if data is None:
        more = f". What {wish.result} has is of an earlier run" if _is_there(wish) else ""
        say(f"There is no result to write: the run left none{more}", err=True)
        return False
    from prefect.running.results import RunResult  # noqa: PLC0415 - seldom wanted

    wish.keep(RunResult.read(data, work.result))
    return True

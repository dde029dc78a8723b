"""`prefect run` in another place than this process: what the worker tells there, told here."""

from __future__ import annotations

import gc
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from prefect.cli.output import say
from prefect.places.following import follow
from prefect.running.report import as_event, write_line
from prefect.running.stopping import SUCCEEDED, exit_status, status_of_run
from prefect.secrets.masking import mask_until_exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.cli.display import LiveDisplay
    from prefect.cli.wish import Wish
    from prefect.places.protocol import Place, Started, Work


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
    try:
        started = place.start(work)
        gc.freeze()  # while the worker starts; what is imported the last collections may leave alone
        with display or nullcontext():
            follow(started, _telling(display, wish))
        status = started.wait()
        _keep_result(started, work, wish, status)
        return status_of_run(successful=True) if status == SUCCEEDED else status
    except KeyboardInterrupt as stop:
        if started is None:
            raise
        return exit_status(stop)  # the worker has told it
    finally:
        # Also on Ctrl-C and SIGTERM: what was started here does not stay behind.
        if started is not None:
            started.remove()


def _telling(display: LiveDisplay | None, wish: Wish) -> Callable[[str], object]:
    if display is not None:
        return lambda line: display.replay([line])
    change = as_event if wish.as_json else str
    return lambda line: write_line(change(line), sys.stdout, sys.stderr)


def say_of_place(line: str) -> None:
    """Tell of a place that is made ready."""
    say(line, err=True)


def _keep_result(started: Started, work: Work, wish: Wish, status: int) -> None:
    if work.result is None:
        return
    data = started.result()
    if data is None:
        say(f"There is no result to write: the run ended with status {status}", err=True)
        return
    from prefect.running.results import RunResult  # noqa: PLC0415 - seldom wanted

    wish.keep(RunResult.read(data, work.result))

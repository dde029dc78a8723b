"""`prefect run` in another place than this process: what the worker tells there, told here."""

from __future__ import annotations

import gc
import signal
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from prefect.cli.output import say
from prefect.frozen import replace
from prefect.places.following import follow
from prefect.running.report import as_event, write_line
from prefect.running.stopping import (
    BAD_INPUT,
    FLOW_FAILED,
    SUCCEEDED,
    SUCCESS,
    exit_status,
    status_of_run,
)
from prefect.secrets.masking import mask_until_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from prefect.cli.display import LiveDisplay
    from prefect.cli.wish import Wish
    from prefect.places.protocol import Place, Started, Work
    from prefect.running.output import StreamName


def run_there(place: Place, work: Work, flow: dict[str, Any], wish: Wish) -> int:
    """Run the worker in a place; return the exit status of the command.

    Args:
        flow: as it is serialized; it is for a live display alone.

    Raises:
        PrefectError: the place cannot be made ready, or the worker cannot be followed.
    """
    wish.require_events()
    mask_until_exit(work.secrets.values())
    display = _display(flow, wish) if wish.live else None
    started: Started | None = None
    try:
        with _preparing():
            started = place.start(replace(work, reports=True))
        gc.freeze()  # while the worker starts; what is imported the last collections may leave alone
        with _shown(display, started), _listening(_teller(display, wish), flow, wish) as tell:
            follow(started, tell)
        status = started.wait()
        if wish.surroundings.may_have_killed(status):
            say("The run was killed, as happens where it takes more than --memory gives", err=True)
        elif status not in _TOLD:
            say(
                f"Error: The worker {_ended(status)}: a task, or what it called, ended it", err=True
            )
        report = None
        if work.result is not None or status == SUCCEEDED:
            report = started.report()
        if work.result is not None and not _keep_result(report, work.result, wish):
            status = status or FLOW_FAILED
        told = work.result is not None or report == SUCCESS
        if status == SUCCEEDED and (report is None or not told):
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


def _display(flow: dict[str, Any], wish: Wish) -> LiveDisplay:
    from prefect.cli.display import LiveDisplay  # noqa: PLC0415 - rich is for terminals

    display = LiveDisplay(flow)
    if wish.kept is not None and wish.kept.store is not None:
        from prefect.records.expected import expect  # noqa: PLC0415 - where there may be earlier ones
        from prefect.store.store import open_store  # noqa: PLC0415 - the same

        expect(display.counts, open_store(wish.kept.store), flow["name"])
    return display


def _shown(display: LiveDisplay | None, started: Started) -> AbstractContextManager[object]:
    """Return what shows a run, and what it takes of the machine: else its process is below this one."""
    if display is None:
        return nullcontext()
    display.measured = getattr(started, "usage", display.measured)
    return display


@contextmanager
def _listening(
    tell: Callable[[str, StreamName], object], flow: dict[str, Any], wish: Wish
) -> Iterator[Callable[[str, StreamName], object]]:
    """Have OpenTelemetry told of what is told, if that is asked for."""
    if not wish.otel:
        yield tell
        return
    from prefect.cli.telling import listening  # noqa: PLC0415 - seldom asked for
    from prefect.telemetry.run import Telemetry  # noqa: PLC0415 - likewise

    with Telemetry(flow) as telemetry:
        yield listening(telemetry, tell)


def _preparing() -> AbstractContextManager[None]:
    """Show on a terminal what takes a while until the worker starts, such as what is installed."""
    if sys.stderr is None or not sys.stderr.isatty():
        return nullcontext()
    from prefect.cli.build_lines import build_lines  # noqa: PLC0415 - for terminals

    return build_lines(verbose=False)


_TOLD = {SUCCEEDED, FLOW_FAILED, BAD_INPUT, 128 + signal.SIGINT, 128 + signal.SIGTERM}


def _ended(status: int) -> str:
    """Say how a worker ended that did not come to an end of its own."""
    try:
        return f"was ended by {signal.Signals(status - 128).name}"
    except ValueError:
        return f"ended with status {status}"


def _teller(display: LiveDisplay | None, wish: Wish) -> Callable[[str, StreamName], object]:
    """Return what tells each line of a worker in the way that is wished for."""
    if display is not None:
        return lambda line, _: display.replay([line])
    if wish.quiet:
        from prefect.running.quiet import QuietReporter  # noqa: PLC0415 - seldom asked for

        return QuietReporter().replay
    if wish.as_json:
        return lambda line, stream: write_line(as_event(line, stream), sys.stdout, sys.stderr)
    return lambda line, stream: write_line(line, getattr(sys, stream), sys.stderr)


def _keep_result(report: bytes | None, key: str, wish: Wish) -> bool:
    """Write the result where it is asked for, if there is one; tell whether it is no failure's."""
    if report is None:
        say("There is no result to write: the run left none", err=True)
        return True
    from prefect.running.results import RunResult  # noqa: PLC0415 - seldom wanted

    result = RunResult.read(report, key)
    wish.keep(result)
    return result.is_successful()

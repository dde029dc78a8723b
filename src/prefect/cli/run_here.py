"""`prefect run --in here`: a file's flow, or a sealed flow, in this process."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from prefect.cli.artifacts import load_flow_file
from prefect.cli.collecting import collect_as_usual
from prefect.core.kept import asked
from prefect.running.flow_directory import take_key
from prefect.running.output_directory import output_directory
from prefect.running.parameters import read_parameters
from prefect.running.report import JsonReporter, LineReporter, Reporter
from prefect.secrets.masking import mask_until_exit
from prefect.secrets.secret import exported, merge_secrets, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.cli.telling import Told
    from prefect.cli.wish import Wish
    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.payload.manifest import Manifest
    from prefect.running.run_directory import RunDirectory
    from prefect.sealed.keys.keyring import Keyring


def run_file(artifact: str, wish: Wish) -> State:
    """Run the flow of FILE.py."""
    with ExitStack() as entered:
        # What the file writes while it is loaded is output, too.
        early = entered.enter_context(JsonReporter(until_exit=True)) if wish.as_json else None
        flow = load_flow_file(artifact)
        serialized = flow.serialize()
        parameters = read_parameters(serialized, wish.given, kept=wish.kept)
        # A value that the file set on the environment's own secret counts.
        values = resolve(merge_secrets(wish.secrets, getattr(flow.environment, "secrets", ())))
        mask_until_exit([*values.values(), *take_key()])
        reporter = early or entered.enter_context(_reporter(serialized, wish))
        if wish.otel:
            reporter = entered.enter_context(_told(reporter, serialized))
        context = entered.enter_context(output_directory(wish.surroundings.output))
        entered.enter_context(exported(values))
        asked.set(wish.kept_as(flow.name))
        collect_as_usual()
        state = flow.run(
            parameters=parameters,
            executor=wish.executor,
            on_state=_observer(reporter),
            context=context,
            run_on_schedule=False,  # the command keeps the time
        )
        if (keep := _keeping(wish)) is not None:
            keep(flow, state)
        reporter.finished(flow.name, state)
    return state


def run_opened(
    manifest: Manifest,
    payload: bytes | bytearray,
    keyring: Keyring,
    directory: RunDirectory,
    wish: Wish,
) -> State:
    """Run a sealed flow that was opened, with the packages that are installed here.

    Args:
        keyring: opened it; its keys are masked in what the run tells.
        directory: has the files and the wheels that travelled.
    """
    from prefect.running.opened import ready_to_run  # noqa: PLC0415 - for sealed flows alone
    from prefect.running.packaged import run_packaged  # noqa: PLC0415 - the same

    values, parameters = ready_to_run(
        manifest, keyring, directory, secrets=wish.secrets, given=wish.given, kept=wish.kept
    )
    with ExitStack() as entered:
        reporter: Reporter = entered.enter_context(_reporter(manifest.flow, wish))
        if wish.otel:
            reporter = entered.enter_context(_told(reporter, manifest.flow))
        collect_as_usual()
        state = run_packaged(
            manifest,
            payload,
            values,
            parameters=parameters,
            executor=wish.executor,
            on_state=_observer(reporter),
            strict=wish.strict,
            directory=directory.path,
            on_end=_keeping(wish),
            output=wish.surroundings.output,
            kept=wish.kept_as(manifest.flow["name"]),
            alone=True,
        )
        reporter.finished(manifest.flow["name"], state)
    return state


def _keeping(wish: Wish) -> Callable[[Flow, State], None] | None:
    """Return what writes the run's result where it is asked for."""
    if wish.result is None:
        return None

    def keep(flow: Flow, state: State) -> None:
        from prefect.running.results import RunResult  # noqa: PLC0415 - seldom wanted

        wish.keep(*RunResult.of(flow, state))

    return keep


def _told(reporter: Reporter, flow: dict[str, Any]) -> Told:
    """Return a reporter that tells OpenTelemetry, too."""
    from prefect.cli.telling import Told  # noqa: PLC0415 - seldom asked for

    return Told(reporter, flow)


def _reporter(flow: dict[str, Any], wish: Wish) -> Reporter:
    if wish.as_json:
        return JsonReporter(until_exit=True)
    if wish.live:
        from prefect.cli.display import LiveDisplay  # noqa: PLC0415 - rich is for terminals
        from prefect.progress.counts import watching  # noqa: PLC0415 - likewise

        display = LiveDisplay(flow)
        watching.set(display.counts)
        return display
    if wish.quiet:
        from prefect.running.quiet import QuietReporter  # noqa: PLC0415 - seldom asked for

        return QuietReporter()
    return LineReporter(until_exit=True)


def _observer(reporter: Reporter) -> Any:
    # Log lines need no observer, and without one the runner does less.
    return None if isinstance(reporter, LineReporter) else reporter.on_state

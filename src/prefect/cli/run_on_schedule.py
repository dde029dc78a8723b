"""`prefect run --on-schedule`: this process keeps the time, and each run is a command of its own.

So runs share nothing, wherever they are: neither memory nor what a file does when it is loaded.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from prefect.cli import standard_input
from prefect.cli.artifacts import is_flow_file, load_flow_file
from prefect.cli.output import note, say
from prefect.errors import FlowError
from prefect.running.parameters import read_parameters
from prefect.running.stopping import Terminated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from prefect.schedules.schedules import Schedule

OPTION = "--on-schedule"


def run_on_schedule(
    artifact: str,
    given: Mapping[str, str],
    key_files: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    arguments: Sequence[str],
) -> int:
    """Run a flow at the times of its own schedule, and return the exit status of the last run.

    Args:
        artifact: as of `prefect run`.
        given: parameters as they were written.
        key_files: as of `prefect run`.
        trusted_signers: as of `prefect run`.
        arguments: all that `prefect run` was called with.

    Raises:
        click.UsageError: the flow has no schedule, or none that can be kept here.
        ParameterError: parameters are wrong, before anything is waited for.
    """
    if standard_input.NAME in (artifact, *map(str, key_files)):
        raise click.UsageError(
            f'{OPTION} runs again and again, and "-" can be read but once: name a file'
        )
    flow, schedule = _find(artifact, key_files, trusted_signers)
    defaults = [clock.parameter_defaults for clock in schedule.clocks]
    for each in defaults:
        if twice := sorted(each.keys() & given.keys()):
            raise click.UsageError(
                f"The schedule has a value of its own for -p {twice[0]}: leave it out"
            )
        read_parameters(flow, {**given, **_pairs(each)})
    left = [each for each in arguments if each != OPTION]
    status: int | None = None

    def run(parameters: Mapping[str, Any], _: datetime) -> None:
        nonlocal status
        pairs = [f"--parameter={name}={value}" for name, value in _pairs(parameters).items()]
        status = _run_once([*pairs, *left])

    from prefect.engine.scheduling import keep_time  # noqa: PLC0415 - for schedules alone

    keep_time(
        schedule,
        run,
        lambda told: note(_sentence(told)),
        lambda told: say(f"Warning: {told}.", err=True),
    )
    if status is None:
        raise click.UsageError(f"The schedule of {artifact} has no more times")
    return status


def _sentence(told: str) -> str:
    return f"{told[0].upper()}{told[1:]}."


def _find(
    artifact: str, key_files: tuple[Path, ...], trusted_signers: tuple[str, ...]
) -> tuple[Mapping[str, Any], Schedule]:
    """Return the serialized flow, and its schedule."""
    none = click.UsageError(
        f"{artifact} has no schedule: Flow(schedule=...) gives it one, or leave out {OPTION}"
    )
    if is_flow_file(artifact):
        flow = load_flow_file(artifact)
        if flow.schedule is None:
            raise none
        return flow.serialize(), flow.schedule  # type: ignore[return-value]  # what is checked there is one
    from prefect.cli.info import find_artifact, read_manifest  # noqa: PLC0415 - for artifacts alone
    from prefect.schedules.described import restored  # noqa: PLC0415 - the same

    described = read_manifest(artifact, find_artifact(artifact), key_files, trusted_signers).flow
    if not described.get("schedule"):
        raise none
    try:
        return described, restored(described["schedule"])
    except FlowError as error:
        raise click.UsageError(
            f"The schedule of {artifact} cannot be kept from outside: {error}. Run its FILE.py with {OPTION}"
        ) from error


def _pairs(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as they are written on a command line."""
    return {name: json.dumps(value, ensure_ascii=False) for name, value in parameters.items()}


def _run_once(arguments: Sequence[str]) -> int:
    command = [sys.executable, "-P", "-m", "prefect", "run", *arguments]
    with subprocess.Popen(command) as process:  # noqa: S603 - this very command
        try:
            status = process.wait()
        except Terminated:
            process.send_signal(signal.SIGTERM)  # a terminal's Ctrl-C has reached it already
            raise
    return status if status >= 0 else 128 - status

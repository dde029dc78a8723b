"""The worker's command line; see the package's docstring."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.environments.pickle_environment import PickleEnvironment
from prefect.environments.running import run_packaged
from prefect.environments.secret import (
    Secret,
    exported,
    resolve,
    secrets_directory,
    secrets_of,
)
from prefect.errors import ArtifactError, ParameterError, PrefectError
from prefect.packaging.manifest import Manifest
from prefect.packaging.plan import (
    FLOW_DIRECTORY,
    KEY_VARIABLE,
    MANIFEST_FILE,
    PAYLOAD_FILE,
    SEALED_FILE,
)
from prefect.worker.container_secrets import await_values, receive
from prefect.worker.masking import masked
from prefect.worker.report import JsonReporter, LineReporter, Reporter
from prefect.worker.stopping import exit_status, unwind_on_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

SUCCEEDED, FAILED, BAD_INPUT = 0, 1, 2
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; return its exit status.

    0 success, 1 the flow failed, 2 bad input, 130 and 143 stopped by Ctrl-C and by SIGTERM.
    """
    options = _parser().parse_args(arguments)
    unwind_on_signals()
    try:
        status: int = options.action(options)
    except PrefectError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        status = BAD_INPUT
    except KeyboardInterrupt as stop:
        print("Stopped.", file=sys.stderr)  # noqa: T201
        return exit_status(stop)
    if getattr(options, "hold", False):
        sys.stdout.flush()
        # Wait for the signal that stops the container, then tell how the work ended.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return status


def _run(options: argparse.Namespace) -> int:
    reporter: Reporter = JsonReporter() if options.json else LineReporter()
    try:
        awaited = await_values(options.secret)
        manifest, payload, key = _read_flow(Path(options.flow), awaited)
        values = resolve(
            secret for secret in secrets_of(manifest.flow) if secret.name not in awaited
        )
        values |= awaited
        parameters = _parameters(options)
    except PrefectError as error:
        reporter.refused(error)
        return BAD_INPUT
    with reporter, masked([*values.values(), *key]):
        try:
            state = run_packaged(
                manifest,
                payload,
                values,
                parameters=parameters,
                on_state=reporter.on_state if options.json else None,
            )
        except PrefectError as error:
            reporter.refused(error)
            return BAD_INPUT
        except Exception:  # noqa: BLE001 - written here, where secrets are masked
            traceback.print_exc()
            return FAILED
        reporter.finished(manifest.flow["name"], state)
        return SUCCEEDED if state.is_successful() else FAILED


def _exec(options: argparse.Namespace) -> int:
    values = await_values(options.secret)
    command: list[str] = options.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        if options.hold:
            return SUCCEEDED
        raise ArtifactError("There is no command to run")
    try:
        if not options.hold:
            os.execvpe(command[0], command, os.environ | values)  # noqa: S606
        with exported(values):
            return subprocess.run(command, check=False).returncode  # noqa: S603
    except FileNotFoundError:
        print(f"Error: there is no program {command[0]!r} in this image", file=sys.stderr)  # noqa: T201
        return _NOT_FOUND
    except PermissionError:
        print(f"Error: {command[0]!r} is not executable", file=sys.stderr)  # noqa: T201
        return _NOT_EXECUTABLE


def _receive(_: argparse.Namespace) -> int:
    receive(sys.stdin.buffer)
    return SUCCEEDED


def _read_flow(
    directory: Path, awaited: dict[str, str]
) -> tuple[Manifest, bytes | bytearray, tuple[str, ...]]:
    """Return manifest and payload, and the key that opened them if they were sealed."""
    sealed = directory / SEALED_FILE
    if sealed.exists():
        # The worker's own secret: tasks do not get it, and what they print has it masked.
        key = awaited.pop(KEY_VARIABLE, None)
        if key is None:
            key = Secret(KEY_VARIABLE).value
        else:  # it was handed over for this run alone: its file is ours, and not somebody's mount
            (secrets_directory() / KEY_VARIABLE).unlink(missing_ok=True)
        os.environ.pop(KEY_VARIABLE, None)
        return *PickleEnvironment(key).open(sealed), (key,)
    try:
        manifest = (directory / MANIFEST_FILE).read_bytes()
        return Manifest.from_json(manifest), (directory / PAYLOAD_FILE).read_bytes(), ()
    except OSError as error:
        raise ArtifactError(f"There is no flow to run: {error}") from error


def _parameters(options: argparse.Namespace) -> dict[str, Any]:
    try:
        parameters = json.loads(options.parameters)
    except ValueError as error:
        raise ParameterError(f"The parameters are not JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise ParameterError("The parameters are not a JSON object of names and values")
    return parameters | dict(map(parse_parameter, options.parameter))


def parse_parameter(text: str) -> tuple[str, Any]:
    """Take `name=value` apart; a value that is JSON counts as such, any other as a str.

    Raises:
        ParameterError: there is no name or no `=`.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ParameterError(f"{text!r} is no parameter: write name=value, such as -p limit=10")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prefect.worker",
        description="The program inside every prefect image. Without arguments, an image runs its "
        "flow.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    waiting = argparse.ArgumentParser(add_help=False)
    waiting.add_argument(
        "--secret", action="append", default=[], metavar="NAME",
        help="wait until this secret is in the secrets directory",
    )  # fmt: skip
    waiting.add_argument(
        "--hold", action="store_true", help="when done, stay up until the container is stopped"
    )

    run = actions.add_parser("run", parents=[waiting], help="run the flow")
    run.add_argument("--json", action="store_true", help="report one JSON object a line")
    run.add_argument("--flow", default=FLOW_DIRECTORY, help="directory of the flow [%(default)s]")
    run.add_argument("--parameters", default="{}", metavar="JSON", help="all parameters, as JSON")
    run.add_argument(
        "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE",
        help="one parameter; the value is JSON, or else text",
    )  # fmt: skip
    run.set_defaults(action=_run)

    execute = actions.add_parser(
        "exec", parents=[waiting], help="run a program with the flow's secrets and packages"
    )
    execute.add_argument("command", nargs=argparse.REMAINDER, help="the program, after --")
    execute.set_defaults(action=_exec)

    take = actions.add_parser("receive-secrets", help="take secrets from standard input")
    take.set_defaults(action=_receive)
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The worker's command line; see the package's docstring."""

from __future__ import annotations

import gc

gc.disable()  # until there is something to do: nothing of what is imported is garbage
# ruff: noqa: E402

import argparse
import logging
import os
import signal
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.core.kept import Kept
from prefect.errors import ArtifactError, PlaceError, PrefectError
from prefect.payload.manifest import Manifest
from prefect.printable import error_text
from prefect.running.flow_directory import (
    FLOW_DIRECTORY,
    RESULT_KEY,
    read_flow,
    take_value,
)
from prefect.running.handed import take_handed
from prefect.running.packaged import run_packaged
from prefect.running.parameters import parse_pairs, read_parameters
from prefect.running.report import JsonReporter, LineReporter, Reporter
from prefect.running.run_directory import RunDirectory
from prefect.running.stopping import (
    BAD_INPUT,
    FLOW_FAILED,
    SUCCEEDED,
    SUCCESS,
    exit_status,
    provide_streams,
    status_of_run,
    unwind_on_signals,
)
from prefect.running.verdict import require_fit
from prefect.running.work_directory import somewhere_to_write
from prefect.secrets.handover import await_values, receive
from prefect.secrets.masking import mask_until_exit
from prefect.secrets.secret import (
    exported,
    resolve,
    secrets_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prefect.core.flow import Flow
    from prefect.core.state import State

# What a flow is going to take, of this package and Python's own library.
_SOON = (
    "prefect.engine.flow_run",
    "prefect.engine.executors.local",
    "prefect.environments.pickle",
    "uuid",
)
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells answer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; return its exit status.

    0 success, 1 the flow failed, 2 bad input, 130 and 143 stopped by Ctrl-C and by SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    provide_streams()
    unwind_on_signals()
    try:
        if words[:1] == ["wait"]:
            words = _awaited([*words[1:]])
        options = _parser().parse_args(words)
        gc.freeze()
        gc.enable()
        try:
            status: int = options.action(options)
        finally:
            provide_streams()  # which a task may have closed
    except PrefectError as error:
        print(error_text(error), file=sys.stderr)  # noqa: T201
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


def _awaited(options: list[str]) -> list[str]:
    """Return the arguments that come once there is something to do; meanwhile import what that takes."""
    from prefect.payload.loading import import_unpickler  # noqa: PLC0415 - others take it when they need it
    from prefect.worker.waiting import take_order  # noqa: PLC0415 - seldom

    for name in _SOON:
        __import__(name)
    import_unpickler()

    return take_order(options)


def _run(options: argparse.Namespace) -> int:
    kind = JsonReporter if options.json else LineReporter
    reporter: Reporter = kind(until_exit=True)
    # Of a machine that is somebody's, what was written elsewhere than it seems would be lost.
    in_image = options.handover is None and options.flow == FLOW_DIRECTORY
    with somewhere_to_write() if in_image else nullcontext(), RunDirectory() as directory:
        return _run_in(directory, options, reporter)


def _run_in(run: RunDirectory, options: argparse.Namespace, reporter: Reporter) -> int:
    try:
        if options.handover is None:
            awaited = await_values(options.secret)
            manifest, payload, key, files = read_flow(Path(options.flow), awaited, run)
        else:
            handed = take_handed(options.handover)
            manifest, payload, key = Manifest.from_json(handed.manifest), handed.payload, ()
            awaited, files = dict(handed.secrets), handed.files
            if handed.wheels is not None:
                run.import_wheels_in(handed.wheels)
        key_of_result = take_value(RESULT_KEY, awaited)
        needed = [one for one in secrets_of(manifest.flow) if one.name not in awaited]
        require_fit(manifest, needed)
        values = resolve(needed)
        values |= awaited
        pairs = parse_pairs(options.parameter)
        parameters = read_parameters(manifest.flow, pairs, options.parameters, kept=options.keep)
    except PrefectError as error:
        reporter.refused(error)
        return BAD_INPUT
    mask_until_exit([*values.values(), *key])
    with reporter:
        try:
            state = run_packaged(
                manifest,
                payload,
                values,
                parameters=parameters,
                executor=options.executor,
                output=options.output,
                kept=options.keep,
                on_state=reporter.on_state if options.json else None,
                strict=options.strict,
                directory=files,
                on_end=_result(options.report, key_of_result),
                alone=True,
            )
        except PrefectError as error:
            reporter.refused(error)
            return BAD_INPUT
        except Exception:  # noqa: BLE001 - written here, where secrets are masked
            traceback.print_exc()
            return FLOW_FAILED
        reporter.finished(manifest.flow["name"], state)
        status = status_of_run(successful=state.is_successful())
        if status == SUCCEEDED and options.report is not None and key_of_result is None:
            try:
                Path(options.report).write_bytes(SUCCESS)
            except OSError as error:
                reporter.refused(PlaceError(f"The flow's success cannot be reported: {error}"))
                return BAD_INPUT
        return status


def _result(report: str | None, key: str | None) -> Callable[[Flow, State], None] | None:
    """Return what writes the run's result, if somebody wants it."""
    if report is None or key is None:
        return None

    def write(flow: Flow, state: State) -> None:
        from prefect.files import replacing  # noqa: PLC0415 - seldom wanted
        from prefect.running.results import RunResult  # noqa: PLC0415 - the same

        result, behind = RunResult.of(flow, state)
        with replacing(report) as file:
            file.write(result.to_bytes(key))
        for line in behind:
            logging.getLogger("prefect").warning(line)

    return write


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
        import subprocess  # noqa: PLC0415 - most workers run a flow

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


def _executor(text: str) -> str:
    from prefect.core.executor_text import normal  # noqa: PLC0415 - seldom given

    try:
        return normal(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
    run.add_argument(
        "--strict", action="store_true",
        help="refuse to run with other versions of packages than the flow was built with",
    )  # fmt: skip
    run.add_argument(
        "--handover", type=int, metavar="NUMBER",
        help="a file descriptor that the flow and its secrets come through",
    )  # fmt: skip
    run.add_argument(
        "--report", metavar="FILE",
        help="write to this file, at its end, that the flow succeeded; or where the secret "
        f"{RESULT_KEY} tells whose it is, the run's result",
    )  # fmt: skip
    run.add_argument(
        "--output", type=Path, metavar="DIR",
        help="directory for the files that tasks make, which they know as prefect.context.output_dir",
    )  # fmt: skip
    run.add_argument(
        "--keep", type=Kept.of_text, metavar="JSON",
        help="what to keep of the run, and to go on with: the names of store, run, resume and place",
    )  # fmt: skip
    run.add_argument(
        "--executor", type=_executor, metavar="WHERE",
        help="where tasks run: local, threads:8, processes:4, dask, or a Dask scheduler's address; without "
        "this, where the flow itself says",
    )  # fmt: skip
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

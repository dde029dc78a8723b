"""The command line of a file that runs by itself: `python etl.pyz -p year=2013`.

Exit statuses, logs and refusals are those of `prefect run` with the sealed flow that is in it, and so are its options:
those that need no more of this package than runs flows.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.core.executor_text import normal
from prefect.core.kept import LAST
from prefect.core.serialization import default_text
from prefect.errors import ArtifactError, InvalidKeyError, PrefectError
from prefect.files import replacing
from prefect.printable import error_text, printable
from prefect.running.key_variable import KEY_VARIABLE
from prefect.running.opened import ready_to_run
from prefect.running.output_directory import make_output_directory
from prefect.running.parameters import parse_pairs
from prefect.running.report import JsonReporter, LineReporter, Reporter
from prefect.running.result_files import require_result_path, without_older
from prefect.running.run_directory import RunDirectory
from prefect.running.stopping import (
    BAD_INPUT,
    FLOW_FAILED,
    SUCCEEDED,
    end_without_output,
    exit_status,
    provide_streams,
    status_of_run,
    unwind_on_signals,
)
from prefect.secrets.secret import parse_secrets
from prefect.version import __version__
from prefect.worker.vendored import Vendored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.payload.manifest import Manifest
    from prefect.running.keys import KeyFiles


def main(archive: str, arguments: Sequence[str] | None = None) -> int:
    """Run the flow of a file that runs by itself; return the exit status.

    0 success, 1 the flow failed, 2 bad input, 130 and 143 stopped by Ctrl-C and by SIGTERM.

    Args:
        archive: absolute path of the file.
        arguments: by default those of the process.
    """
    provide_streams()
    try:
        options = _parser(archive).parse_args(arguments)
        unwind_on_signals()
        try:
            if options.info or options.help:
                return _tell(archive, options)
            with without_older(options.result, _say) as outcome:
                outcome.status = _run(archive, options)
            return outcome.status
        finally:
            provide_streams()  # which a task may have closed
    except PrefectError as error:
        print(error_text(error), file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    except KeyboardInterrupt as stop:
        print("Stopped.", file=sys.stderr)  # noqa: T201
        return exit_status(stop)


def _run(archive: str, options: argparse.Namespace) -> int:
    from prefect.opening import open_flow  # noqa: PLC0415 - the same
    from prefect.running.packaged import run_packaged  # noqa: PLC0415 - not to tell of it

    given = parse_pairs(options.parameter)
    try:
        executor = None if options.executor is None else normal(options.executor)
        if options.result is not None:
            require_result_path(options.result)
        named = parse_secrets(options.secret)
    except ValueError as error:
        raise ArtifactError(str(error)) from error
    output = None if options.output is None else make_output_directory(options.output)
    kept = None
    if options.keep or options.store is not None or options.resume is not None:
        from prefect.keeping import kept_of  # noqa: PLC0415 - seldom asked for
        from prefect.store.store import default_store  # noqa: PLC0415 - the same

        kept = kept_of(options.store or default_store(), options.resume)
    path = Path(archive)
    keyring = _key_files().keyring_to_open(
        path, path.name, options.key_file, options.trusted_signer
    )
    gc.freeze()  # what was imported by now, the interpreter's last collections may leave alone
    with RunDirectory() as directory, Vendored() as vendored:
        manifest, payload = open_flow(
            path, keyring, directory.make, directory.make_for_wheels, vendored.wanted
        )
        vendored.import_from(directory.wheels)
        values, parameters = ready_to_run(
            manifest, keyring, directory, secrets=named, given=given, kept=kept
        )
        reporter = _reporter(options)
        with reporter:
            try:
                state = run_packaged(
                    manifest,
                    payload,
                    values,
                    parameters=parameters,
                    executor=executor,
                    on_state=reporter.on_state if options.json else None,
                    strict=options.strict,
                    directory=directory.path,
                    output=output,
                    kept=kept,
                    on_end=None if options.result is None else partial(_keep, options.result),
                )
            except PrefectError:
                raise
            except Exception:  # noqa: BLE001 - written here, where secrets are masked
                traceback.print_exc()
                return FLOW_FAILED
            reporter.finished(manifest.flow["name"], state)
            return status_of_run(successful=state.is_successful())


def _reporter(options: argparse.Namespace) -> Reporter:
    if options.quiet:
        from prefect.running.quiet import QuietReporter  # noqa: PLC0415 - seldom asked for

        return QuietReporter()
    return (JsonReporter if options.json else LineReporter)(until_exit=True)


def _keep(path: Path, flow: Flow, state: State) -> None:
    """Write the run's result, and say what of it stays behind."""
    from prefect.running.result_files import content_for  # noqa: PLC0415 - seldom wanted
    from prefect.running.results import RunResult  # noqa: PLC0415 - the same

    result, behind = RunResult.of(flow, state)
    content, lacking = content_for(path, result)
    with replacing(path) as file:
        file.write(content)
    for line in (*behind, *lacking):
        _say(line)


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)  # noqa: T201


def _tell(archive: str, options: argparse.Namespace) -> int:
    """Print the help, or what is in the file: with a key what that opens, else what anyone sees."""
    lines = [*_parser(archive).format_help().rstrip().split("\n"), ""] if options.help else []
    path = Path(archive)
    try:
        keyring = _key_files().keyring(options.key_file, options.trusted_signer)
        if keyring is None:
            lines += _outside(path)
        else:
            from prefect.opening import read_manifest  # noqa: PLC0415 - not for a run

            lines += _inside(read_manifest(path, keyring))
    except PrefectError as error:
        if not options.help:
            raise
        lines.append(error_text(error))
    try:
        print("\n".join(map(printable, lines)), flush=True)  # noqa: T201
    except OSError as error:
        end_without_output(error)
    return SUCCEEDED


def _outside(path: Path) -> list[str]:
    from prefect.sealed.reading import outline  # noqa: PLC0415 - not for a run

    found = outline(path)
    signers = ", ".join(found.signer_ids) or "nobody"
    told = (
        f"A sealed flow, run by prefect {__version__}. It opens for {found.opens_for}, and is signed by "
        f"{signers}."
    )
    more = f"Its name and parameters are sealed, too: give --key-file FILE or set {KEY_VARIABLE}."
    return [told, more]


def _inside(manifest: Manifest) -> list[str]:
    flow = manifest.flow
    told = [f"The flow {flow['name']!r}, run by prefect {__version__}"]
    secrets = (flow.get("environment") or {}).get("secrets", ())
    rows = [
        ("packaged by", f"prefect {manifest.prefect}, Python {manifest.python}"),
        ("requires", ", ".join(sorted(set(manifest.requirements.values()))) or "nothing else"),
        ("secrets", ", ".join(secrets) or "none"),
        *((f"-p {each['name']}=…", _value(each)) for each in flow["parameters"]),
    ]
    width = max(len(name) for name, _ in rows)
    return [*told, *(f"  {name.ljust(width)}  {value}" for name, value in rows)]


def _value(parameter: dict[str, Any]) -> str:
    name = " | ".join(parameter.get("choices", ())) or parameter.get("type", "any")
    kind = f"{name} or null" if parameter.get("nullable") else name
    return f"{kind}, required" if parameter["required"] else f"{kind}, {default_text(parameter)}"


def _key_files() -> KeyFiles:
    from prefect.running.keys import KeyFiles  # noqa: PLC0415 - cryptography, not for wrong usage

    return KeyFiles(_read)


def _read(path: Path) -> bytes:
    from prefect.running.keys import LARGEST_KEY_FILE  # noqa: PLC0415 - as above

    try:
        if str(path) != "-":
            with path.open("rb") as file:
                return file.read(LARGEST_KEY_FILE)
        if sys.stdin is None or sys.stdin.isatty():
            raise InvalidKeyError('"-" is standard input: send a key into it, as with < FILE')
        return sys.stdin.buffer.read(LARGEST_KEY_FILE)
    except OSError as error:
        raise InvalidKeyError(f"{path} cannot be read: {error.strerror or error}") from error


def _parser(archive: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python {os.path.basename(archive)}",  # noqa: PTH119 - as light as can be
        description="Run the flow that is sealed in this file. The exit status is 0 for success, 1 when "
        "the flow failed, 2 for wrong usage or bad input, and then nothing has run, and 130 or 143 when "
        "Ctrl-C or SIGTERM stopped it.",
        allow_abbrev=False,
        add_help=False,
    )
    more: Any = {"action": "append", "default": []}
    parser.add_argument(
        "-p", "--parameter", metavar="NAME=VALUE", **more,
        help="a parameter; the value is JSON, or else text; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--key-file", metavar="FILE", type=Path, **more,
        help="file with a key that opens it, an encryption key or an identity, or - for standard input; "
        f"may be repeated; without any, the variable {KEY_VARIABLE} is read",
    )  # fmt: skip
    parser.add_argument(
        "--trusted-signer", metavar="TEXT|FILE.pub", **more,
        help="refuse what none of these signers has signed; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--secret", metavar="NAME", **more,
        help="name of a secret that the flow needs beside those that it names itself: a variable, or a "
        "file in the secrets directory; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--executor", metavar="WHERE",
        help="where tasks run: local, threads:8, processes:4, dask, or a Dask scheduler's address; by default "
        "where the flow says, else local",
    )  # fmt: skip
    parser.add_argument(
        "--result", type=Path, metavar="FILE.json|FILE.pkl",
        help="write what the run came to: the tasks' states, and the values of the last ones",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIRECTORY",
        help="for files that tasks make: they find it as prefect.context.output_dir",
    )  # fmt: skip
    parser.add_argument(
        "--keep", action="store_true",
        help="keep the tasks' results, and a record of the run, in ~/.local/share/prefect",
    )  # fmt: skip
    parser.add_argument(
        "--store", metavar="DIRECTORY|URL", help="keep them there instead",
    )  # fmt: skip
    parser.add_argument(
        "--resume", nargs="?", const=LAST, metavar="RUN",
        help="go on with a run that was kept, by default this flow's last: what succeeded is not run again",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true",
        help="refuse to run with other versions of packages than the flow was packaged with",
    )  # fmt: skip
    told = parser.add_mutually_exclusive_group()
    told.add_argument("--json", action="store_true", help="report one JSON object a line")
    told.add_argument(
        "-q", "--quiet", action="store_true",
        help="tell only warnings, errors and what the flow came to; what tasks print is shown",
    )  # fmt: skip
    parser.add_argument(
        "--info", action="store_true", help="tell what it holds, and execute nothing of that"
    )
    parser.add_argument(
        "-h", "--help", action="store_true", help="show this, and with a key the flow's parameters"
    )
    return parser

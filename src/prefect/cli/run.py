"""`prefect run`: a sealed flow or a file's flow in this process, an image in a container."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import (
    find_in_daemon,
    find_sealed,
    is_flow_file,
    load_flow_file,
    name_of,
)
from prefect.cli.options import (
    Command,
    Suggested,
    key_file_option,
    refuse_keys,
    trusted_signer_option,
)
from prefect.engine import executors
from prefect.running.flow_directory import KEY_VARIABLE
from prefect.running.parameters import parse_pairs, read_parameters
from prefect.running.report import JsonReporter, LineReporter, Reporter, as_event, write_line
from prefect.running.stopping import SUCCEEDED, status_of_run
from prefect.secrets.masking import mask_until_exit
from prefect.secrets.secret import (
    Secret,
    exported,
    merge_secrets,
    parse_secrets,
    resolve,
    secrets_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.places.engine.container import RunnableImage
    from prefect.sealed.keys.keyring import Keyring
    from prefect.sealed.source import SealedSource

_EXECUTORS = {"local": "LocalExecutor", "threads": "ThreadExecutor", "dask": "DaskExecutor"}


@click.command(cls=Command, short_help="Run a sealed flow, an image, or a file's flow.")
@click.argument("artifact", metavar="ARTIFACT|FILE.py[:FLOW]")
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE",
    help="A parameter. The value is JSON where it can be read as such (10, true, [1, 2]), else "
    "text; always text where the parameter's type is written so (a date, a name). May be repeated.",
)  # fmt: skip
@key_file_option
@trusted_signer_option
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="Name of a secret that the flow needs beside those that it names itself: a variable of the "
    "environment, or a file in the secrets directory. May be repeated.",
)  # fmt: skip
@click.option(
    "--executor", default="local", metavar="WHERE", show_default=True, type=Suggested(*_EXECUTORS),
    help="Where tasks run: local (one after the other), threads, dask (a cluster of processes "
    "here), or the address of a Dask scheduler, such as tcp://10.0.0.5:8786. Not for images.",
)  # fmt: skip
@click.option("--network", help="For an image: the container engine's network for its container.")
@click.option(
    "--strict", is_flag=True,
    help="Refuse to run where what the flow needs is there in other versions than where it was "
    "packaged; else each is a warning.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Report one JSON object a line.")
def run(
    artifact: str,
    parameters: tuple[str, ...],
    key_file: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    secrets: tuple[str, ...],
    executor: str,
    network: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Run the flow of ARTIFACT: a .flow file, an image in the container engine, or FILE.py itself.

    Secrets that the flow or --secret names are taken from the environment or from the secrets directory, and
    what tasks print has them masked. The exit status is 0 for success, 1 when the flow failed,
    2 for wrong usage or bad input, and then nothing has run, or where it could not tell of the run.
    """
    given = parse_pairs(parameters)
    try:
        named = parse_secrets(secrets)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    live = sys.stdout.isatty() and not as_json
    if is_flow_file(artifact):
        _refuse_network(network)
        refuse_keys("a file's own flow is none", key_file, trusted_signers)
        if strict:
            raise click.UsageError("--strict compares with what a flow was packaged with: build it")
        state = _run_file(artifact, given, named, _executor(executor), as_json, live)
    elif (sealed := find_sealed(artifact)) is not None:
        _refuse_network(network)
        from prefect.cli.keys import keyring_to_open  # noqa: PLC0415 - for what is sealed alone

        keyring = keyring_to_open(sealed, name_of(artifact), key_file, trusted_signers)
        state = _run_sealed(
            keyring, sealed, given, named, _executor(executor), as_json, live, strict=strict
        )
    else:
        if executor != "local":
            raise click.UsageError("--executor is not for images: their tasks run within them")
        if trusted_signers:
            raise click.UsageError(
                "--trusted-signer is for sealed flows' files: a signature on the flow in an image "
                "would say nothing of the image's other programs, which would run, too. Name an "
                "image that you trust by its digest, as NAME@sha256:…"
            )
        image = find_in_daemon(artifact)
        sys.exit(_run_image(image, given, named, network, key_file, as_json, live, strict=strict))
    sys.exit(status_of_run(successful=state.is_successful()))


def _refuse_network(network: str | None) -> None:
    if network:
        raise click.UsageError("--network is for images: what runs here has this machine's network")


def _run_file(
    artifact: str,
    given: dict[str, str],
    secrets: tuple[Secret, ...],
    executor: Any,
    as_json: bool,
    live: bool,
) -> State:
    with ExitStack() as entered:
        # What the file writes while it is loaded is output, too.
        early = entered.enter_context(JsonReporter(until_exit=True)) if as_json else None
        flow = load_flow_file(artifact)
        if getattr(executor, "address", None) is not None:
            flow = _as_packaged(flow)
        serialized = flow.serialize()
        parameters = read_parameters(serialized, given)
        # A value that the file set on the environment's own secret counts.
        values = resolve(merge_secrets(secrets, getattr(flow.environment, "secrets", ())))
        mask_until_exit([*values.values(), *_take_key()])
        reporter = early or entered.enter_context(_reporter(serialized, as_json=False, live=live))
        entered.enter_context(exported(values))
        state = flow.run(parameters=parameters, executor=executor, on_state=_observer(reporter))
        reporter.finished(flow.name, state)
    return state


def _as_packaged(flow: Flow) -> Flow:
    """Return the flow as one that was packaged and loaded, which needs no file of this machine.

    Tasks would else go to workers elsewhere by the names of local modules, which they do not have.
    """
    from prefect.payload.loading import load_flow  # noqa: PLC0415 - for other machines alone
    from prefect.payload.local_modules import loaded_local_modules  # noqa: PLC0415 - the same
    from prefect.payload.packing import pickle_flow  # noqa: PLC0415 - the same

    packaged = pickle_flow(flow)
    for name in loaded_local_modules():  # what can be found by its name travels by its name
        del sys.modules[name]
    return load_flow(packaged.manifest, packaged.payload)


def _run_sealed(
    keyring: Keyring,
    sealed: SealedSource,
    given: dict[str, str],
    secrets: tuple[Secret, ...],
    executor: Any,
    as_json: bool,
    live: bool,
    *,
    strict: bool,
) -> State:
    from prefect.running.packaged import run_packaged  # noqa: PLC0415 - for sealed flows alone
    from prefect.running.run_directory import RunDirectory  # noqa: PLC0415 - the same
    from prefect.running.verdict import require_fit  # noqa: PLC0415 - the same
    from prefect.sealing import open_flow  # noqa: PLC0415 - the same

    gc.freeze()  # what was imported by now, the interpreter's last collections may leave alone
    with RunDirectory() as directory:
        # Opened once: what is masked is what this very file's flow gets.
        manifest, payload = open_flow(sealed, keyring, directory.make, directory.make_for_wheels)
        directory.import_wheels()
        needed = merge_secrets(secrets, secrets_of(manifest.flow))
        require_fit(manifest, needed)
        parameters = read_parameters(manifest.flow, given)
        values = resolve(needed)
        keys = [key.encode() for key in keyring.encryption_keys]
        keys += [key.encode() for key in keyring.identities]
        mask_until_exit([*values.values(), *keys, *_take_key()])
        reporter = _reporter(manifest.flow, as_json=as_json, live=live)
        with reporter:
            state = run_packaged(
                manifest,
                payload,
                values,
                parameters=parameters,
                executor=executor,
                on_state=_observer(reporter),
                strict=strict,
                directory=directory.path,
            )
            reporter.finished(manifest.flow["name"], state)
    return state


def _run_image(
    image: RunnableImage,
    given: dict[str, str],
    secrets: tuple[Secret, ...],
    network: str | None,
    key_files: tuple[Path, ...],
    as_json: bool,
    live: bool,
    *,
    strict: bool,
) -> int:
    from prefect.places.surroundings import Surroundings  # noqa: PLC0415 - for images alone
    from prefect.places.work import work_in_image  # noqa: PLC0415 - the same

    display = None
    keyring = None
    if key_files:
        image.require_sealed()
    if image.sealed:
        from prefect.cli.keys import find_keyring  # noqa: PLC0415 - for what is sealed alone

        keyring = find_keyring(key_files)  # whose absence the image tells, with what it needs
    flow = image.manifest(keyring).flow if given or live else {}
    parameters = read_parameters(flow, given) if given else None
    if live:
        from prefect.cli.display import LiveDisplay  # noqa: PLC0415 - rich is for terminals

        display = LiveDisplay(flow)
    container = None
    try:
        request = work_in_image(
            image,
            parameters=parameters,
            secrets=secrets,
            keyring=keyring,
            json_lines=as_json or live,
            strict=strict,
            surroundings=Surroundings(network=network),
        )
        mask_until_exit(request.secrets.values())
        container = image.start(request)
        with display or nullcontext():
            lines = _lines(container.logs())
            if display:
                display.replay(lines)
            else:
                for line in lines:
                    write_line(as_event(line) if as_json else line, sys.stdout, sys.stderr)
        status = container.wait()
        return status_of_run(successful=True) if status == SUCCEEDED else status
    finally:
        # Also on Ctrl-C and SIGTERM: what was started here does not stay behind.
        if container is not None:
            container.remove()


def _take_key() -> list[str]:
    """Take the key that opens sealed flows out of the environment: no task has a use for it."""
    key = os.environ.pop(KEY_VARIABLE, "").strip()
    return [key] if key else []


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if rest:
        yield rest.decode(errors="replace")


def _reporter(flow: dict[str, Any], *, as_json: bool, live: bool) -> Reporter:
    if as_json:
        return JsonReporter(until_exit=True)
    if live:
        from prefect.cli.display import LiveDisplay  # noqa: PLC0415 - rich is for terminals

        return LiveDisplay(flow)
    return LineReporter(until_exit=True)


def _observer(reporter: Reporter) -> Any:
    # Log lines need no observer, and without one the runner does less.
    return None if isinstance(reporter, LineReporter) else reporter.on_state


def _executor(name: str) -> Any:
    if name in _EXECUTORS:
        return getattr(executors, _EXECUTORS[name])()
    if "://" in name:
        return executors.DaskExecutor(name)
    raise click.UsageError(
        f"There is no executor {name!r}; choose local, threads, dask, or a scheduler's address"
    )

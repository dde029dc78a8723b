"""`prefect run`: a sealed flow, an image, or a file's flow, in the place that suits it or is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import find_sealed, is_flow_file, name_of
from prefect.cli.options import (
    Command,
    Suggested,
    key_file_option,
    refuse_keys,
    trusted_signer_option,
)
from prefect.cli.output import say
from prefect.cli.place_options import PLACES, place_options, surroundings
from prefect.cli.wish import Wish, require_result_path
from prefect.running.parameters import parse_pairs, read_parameters
from prefect.running.stopping import status_of_run
from prefect.secrets.secret import merge_secrets, parse_secrets, secrets_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from prefect.payload.manifest import Manifest
    from prefect.running.run_directory import RunDirectory
    from prefect.sealed.source import SealedSource


@click.command(cls=Command, short_help="Run a sealed flow, an image, or a file's flow.")
@click.argument("artifact", metavar="ARTIFACT|FILE.py[:FLOW]")
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE",
    help="A parameter. The value is JSON where it can be read as such (10, true, [1, 2]), else "
    "text; always text where the parameter's type is written so (a date, a name). May be repeated.",
)  # fmt: skip
@click.option(
    "--in", "place", type=click.Choice(PLACES),
    help="Where it runs: here, in this Python; venv, an environment made for it, with the very "
    "versions that it was packaged with; sandbox, an image without a container engine; engine, an "
    "image in docker or podman. By default, what suits the artifact.",
)  # fmt: skip
@key_file_option
@trusted_signer_option
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="Name of a secret that the flow needs beside those that it names itself: a variable of the "
    "environment, or a file in the secrets directory. May be repeated.",
)  # fmt: skip
@click.option(
    "--executor", metavar="WHERE", type=Suggested("local", "threads", "threads:8", "dask"),
    help="Where tasks run: local (one after the other), threads, threads:8, dask (a cluster of "
    "processes), or the address of a Dask scheduler, such as tcp://10.0.0.5:8786. By default where the "
    "flow says, else local.",
)  # fmt: skip
@click.option(
    "--result", type=click.Path(path_type=Path), metavar="FILE.json|FILE.pkl",
    help="Write what the run came to: the tasks' states, and the values of those that no other task "
    "needs; as JSON, or as a pickle of a dict of the values.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="DIRECTORY",
    help="For files that tasks make: they find it as prefect.context.output_dir, in every place.",
)  # fmt: skip
@place_options
@click.option(
    "--strict", is_flag=True,
    help="Refuse to run where what the flow needs is there in other versions than where it was "
    "packaged; else each is a warning.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Report one JSON object a line.")
def run(
    artifact: str,
    parameters: tuple[str, ...],
    place: str | None,
    key_file: tuple[Path, ...],
    trusted_signers: tuple[str, ...],
    secrets: tuple[str, ...],
    executor: str | None,
    result: Path | None,
    output: Path | None,
    strict: bool,
    as_json: bool,
    **wanted: Any,
) -> None:
    """Run the flow of ARTIFACT: a .flow file, an image, or FILE.py itself.

    Secrets that the flow or --secret names are taken from the environment or from the secrets directory, and
    what tasks print has them masked. The exit status is 0 for success, 1 when the flow failed,
    2 for wrong usage or bad input, and then nothing has run, or where it could not tell of the run.
    """
    require_result_path(result)
    given = parse_pairs(parameters)
    try:
        named = parse_secrets(secrets)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    wish = Wish(
        given,
        named,
        key_file,
        trusted_signers,
        executor and _normal(executor),
        surroundings(**wanted, output=output),
        result,
        strict=strict,
        as_json=as_json,
        live=sys.stdout.isatty() and not as_json,
    )
    if is_flow_file(artifact):
        status = _run_file(artifact, place, wish)
    elif (sealed := find_sealed(artifact)) is not None:
        status = _run_sealed(artifact, sealed, place, wish)
    else:
        status = _run_image(artifact, place, wish)
    sys.exit(status)


def _run_file(artifact: str, place: str | None, wish: Wish) -> int:
    if place not in (None, "here"):
        raise click.UsageError(f"--in {place} is for what was packaged: `prefect build` it first")
    wish.surroundings.require("output", place="in this interpreter")
    refuse_keys("a file's own flow is none", wish.key_files, wish.trusted_signers)
    if wish.strict:
        raise click.UsageError("--strict compares with what a flow was packaged with: build it")
    from prefect.cli.run_here import run_file  # noqa: PLC0415 - as the artifact is

    return status_of_run(successful=run_file(artifact, wish).is_successful())


def _run_sealed(artifact: str, sealed: SealedSource, place: str | None, wish: Wish) -> int:
    if place in ("sandbox", "engine"):
        raise click.UsageError(
            f"--in {place} is for images: build one with `prefect build FILE.py --image BASE`, or leave "
            "it out"
        )
    if place == "here":
        wish.surroundings.require("output", place="in this interpreter")
    from prefect.cli.keys import keyring_to_open  # noqa: PLC0415 - for what is sealed alone
    from prefect.running.run_directory import RunDirectory  # noqa: PLC0415 - the same
    from prefect.sealing import open_flow  # noqa: PLC0415 - the same

    keyring = keyring_to_open(sealed, name_of(artifact), wish.key_files, wish.trusted_signers)
    with RunDirectory() as directory:

        def wheels(manifest: Manifest) -> Collection[str]:
            nonlocal place
            place = place or _suitable(manifest, wish)
            if place != "venv":
                return manifest.wheels
            from prefect.places.venv.environment import wheels_for  # noqa: PLC0415 - as above

            return wheels_for(manifest)

        # Opened once: what is masked is what this very file's flow gets.
        manifest, payload = open_flow(
            sealed, keyring, directory.make, directory.make_for_wheels, wheels
        )
        if place == "venv":
            return _run_in_venv(manifest, payload, directory, wish)
        wish.surroundings.require("output", place="in this interpreter")
        from prefect.cli.run_here import run_opened  # noqa: PLC0415 - as the artifact is

        state = run_opened(manifest, payload, keyring, directory, wish)
        return status_of_run(successful=state.is_successful())


def _suitable(manifest: Manifest, wish: Wish) -> str:
    """Return the place that suits a sealed flow, and say so where it is not this interpreter."""
    from prefect.places.choosing import suits  # noqa: PLC0415 - where nobody has chosen

    place, reason = suits(manifest, strict=wish.strict)
    if reason:
        say(f"{reason}. It runs in an environment made for it (--in venv).", err=True)
    return place


def _run_in_venv(
    manifest: Manifest, payload: bytes | bytearray, directory: RunDirectory, wish: Wish
) -> int:
    from prefect.cli.run_there import run_there  # noqa: PLC0415 - for other places alone
    from prefect.places.venv.place import Venv  # noqa: PLC0415 - the same
    from prefect.places.work import work_with_flow  # noqa: PLC0415 - the same

    flow = manifest.flow
    work = work_with_flow(
        flow,
        parameters=read_parameters(flow, wish.given),
        secrets=merge_secrets(wish.secrets, secrets_of(flow)),
        json_lines=wish.as_json or wish.live,
        strict=wish.strict,
        executor=wish.executor,
        surroundings=wish.surroundings,
        result=wish.result is not None,
    )
    return run_there(Venv(manifest, payload, directory, say_of_place), work, flow, wish)


def _run_image(artifact: str, place: str | None, wish: Wish) -> int:
    if wish.trusted_signers:
        raise click.UsageError(
            "--trusted-signer is for sealed flows' files: a signature on the flow in an image "
            "would say nothing of the image's other programs, which would run, too. Name an "
            "image that you trust by its digest, as NAME@sha256:…"
        )
    if place in ("here", "venv"):
        raise click.UsageError(
            f"--in {place} is for sealed flows: an image runs in sandbox or engine"
        )
    from prefect.cli.artifacts import find_in_daemon  # noqa: PLC0415 - for images alone
    from prefect.cli.run_there import run_there  # noqa: PLC0415 - the same
    from prefect.places.work import work_in_image  # noqa: PLC0415 - the same

    image = find_in_daemon(artifact)
    keyring = None
    if wish.key_files:
        image.require_sealed()
    if image.sealed:
        from prefect.cli.keys import find_keyring  # noqa: PLC0415 - for what is sealed alone

        keyring = find_keyring(wish.key_files)  # whose absence the image tells, with what it needs
    flow = image.manifest(keyring).flow if wish.given or wish.live else {}
    work = work_in_image(
        image,
        parameters=read_parameters(flow, wish.given) if wish.given else None,
        secrets=wish.secrets,
        keyring=keyring,
        json_lines=wish.as_json or wish.live,
        strict=wish.strict,
        executor=wish.executor,
        surroundings=wish.surroundings,
        result=wish.result is not None,
    )
    return run_there(image, work, flow, wish)


def say_of_place(line: str) -> None:
    """Tell of a place that is made ready."""
    say(line, err=True)


def _normal(executor: str) -> str:
    from prefect.core.executor_text import normal  # noqa: PLC0415 - seldom given

    try:
        return normal(executor)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

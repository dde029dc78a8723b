"""`prefect build`: a flow into a sealed file, an image, or a directory with a Dockerfile."""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prefect.cli.artifacts import flow_file, load_flow_file, writing
from prefect.cli.keys import (
    find_keyring,
    key_file_option,
    read_keyring,
    read_recipients,
    read_signing_key,
    recipient_option,
    signing_key_option,
)
from prefect.cli.output import is_replaceable, printable, refuse_inputs, write_plainly
from prefect.environments import ContainerEnvironment, PickleEnvironment
from prefect.environments.secret import Secret, merge_secrets, parse_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.core.flow import Flow


@click.command(short_help="Package a flow into a sealed file or a container image.")
@click.argument("file", metavar="FILE.py[:FLOW]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.flow",
    help="Write a sealed flow to this file.",
)  # fmt: skip
@key_file_option
@recipient_option
@signing_key_option
@click.option("--image", metavar="BASE", help="Build a container image on this base.")
@click.option("--tag", help="Name of the built image; else it follows from the flow's name.")
@click.option(
    "-r", "--requirement", "requirements", multiple=True, metavar="REQUIREMENT",
    help="A dependency, such as 'pandas>=2', or a file of them. May be repeated. Without any, "
    "the image gets what the flow imports, in the versions installed here.",
)  # fmt: skip
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="Name of a secret that the flow needs when it runs. May be repeated.",
)  # fmt: skip
@click.option("--network", help="The engine's network for the build's steps, such as host.")
@click.option(
    "--dockerfile", type=click.Path(path_type=Path, file_okay=False), metavar="DIRECTORY",
    help="With --image: write a Dockerfile and what it copies there instead of building.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show every line of an image's build.")
def build(
    file: str,
    output: Path | None,
    key_file: tuple[Path, ...],
    recipients: tuple[str, ...],
    signing_key: Path | None,
    image: str | None,
    tag: str | None,
    requirements: tuple[str, ...],
    secrets: tuple[str, ...],
    network: str | None,
    dockerfile: Path | None,
    verbose: bool,
) -> None:
    """Package the flow of FILE.py.

    The file is run to get at its flow, without what stands below `if __name__ == "__main__"`.
    Modules beside it travel with the flow. FLOW is a variable's name or a flow's, needed where
    the file has several.

    With -o the flow becomes a sealed flow ("-" is standard output), encrypted for the holder of
    the key and for recipients, and signed where a signing key is given; with --image, a container
    image. With neither, a flow that has a ContainerEnvironment becomes its image, and any other is
    sealed into FILE.flow. The secrets that the flow's own environment names are kept.
    """
    if image is None and (tag or requirements or network or dockerfile):
        raise click.UsageError("--tag, -r, --network and --dockerfile go with --image BASE")
    if image is not None and output is not None:
        raise click.UsageError("-o makes a sealed flow and --image an image: choose one")
    if image is not None and (recipients or signing_key):
        raise click.UsageError("--recipient and --signing-key are for sealed flows, not for images")
    flow = load_flow_file(file)
    own = getattr(flow.environment, "secrets", ())
    try:
        asked = merge_secrets(own, parse_secrets(secrets))
        if image is not None:
            flow.environment = ContainerEnvironment(
                image,
                tag=tag,
                python_dependencies=_requirement_lines(requirements),
                secrets=asked,
                network=network,
            )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if output is None and isinstance(flow.environment, ContainerEnvironment):
        flow.environment.secrets = asked
        _build_image(flow, flow.environment, dockerfile, verbose=verbose)
        return
    source = flow_file(file)
    target = output or Path(f"{source.stem}.flow")
    refuse_inputs(target, (source, *key_file, signing_key))
    environment = _sealing(key_file, recipients, signing_key, asked)
    flow.environment = environment
    _build_sealed(flow, target, environment)


def _sealing(
    key_files: tuple[Path, ...],
    recipients: tuple[str, ...],
    signing_key: Path | None,
    secrets: tuple[Secret, ...],
) -> PickleEnvironment:
    # For recipients alone no encryption key is needed.
    keyring = find_keyring(key_files) if recipients else read_keyring(key_files)
    return PickleEnvironment(
        **(keyring.settings() if keyring else {}),
        recipients=read_recipients(recipients) or None,
        signing_key=read_signing_key(signing_key),
        secrets=secrets,
    )


def _build_sealed(flow: Flow, output: Path, environment: PickleEnvironment) -> None:
    started = time.perf_counter()
    with writing(output):
        if is_replaceable(output):
            environment.build_to(output, flow)
            size = output.stat().st_size
        else:
            size = write_plainly(output, environment.build(flow))
    seconds = time.perf_counter() - started
    name = printable(flow.name)
    click.echo(f"Sealed {name!r} into {output}: {_size(size)} in {seconds:.2f} s.", err=True)


def _build_image(
    flow: Flow, environment: ContainerEnvironment, dockerfile: Path | None, *, verbose: bool
) -> None:
    started = time.perf_counter()
    if dockerfile is not None:
        environment.create_dockerfile(dockerfile, flow=flow)
        click.echo(f"Wrote {dockerfile / 'Dockerfile'} and the files that it copies.")
        return
    with _build_lines(verbose=verbose):
        image, _ = environment.build(flow)
    seconds = time.perf_counter() - started
    name = image.tags[0] if image.tags else image.short_id
    click.echo(
        f"Built {printable(flow.name)!r} into the image {name} ({image.short_id}) in {seconds:.1f} s."
    )
    click.echo(f"Run it with: prefect run {name}")


def _requirement_lines(requirements: tuple[str, ...]) -> list[str] | None:
    if not requirements:
        return None
    lines = []
    for requirement in requirements:
        path = Path(requirement)
        if path.is_file():
            try:
                text = path.read_text().replace("\\\n", " ")
            except (OSError, UnicodeDecodeError) as error:
                raise click.FileError(requirement, str(error)) from error
            found = (line.partition(" #")[0].strip() for line in text.splitlines())
            lines += [line for line in found if line and not line.startswith("#")]
        elif path.suffix == ".txt" or ("/" in requirement and "@" not in requirement):
            raise click.UsageError(f"There is no requirements file {requirement}")
        else:
            lines.append(requirement)
    return lines


@contextmanager
def _build_lines(*, verbose: bool) -> Iterator[None]:
    """Show a build's progress: each line, or on a terminal the newest one in place."""
    logger = logging.getLogger("prefect.environments")
    handler = _Lines(verbose=verbose)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        handler.clear()
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


class _Lines(logging.Handler):
    def __init__(self, *, verbose: bool) -> None:
        super().__init__()
        self._in_place = not verbose and sys.stderr.isatty()
        self._verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if self._in_place:
            width = os.get_terminal_size(2).columns - 1
            click.echo(f"\r\x1b[K{line[:width]}", nl=False, err=True)
        elif self._verbose or line.startswith(("Step ", "Pulling ", "Building ")):
            click.echo(line, err=True)

    def clear(self) -> None:
        if self._in_place:
            click.echo("\r\x1b[K", nl=False, err=True)


def _size(count: int) -> str:
    if count < 1024:  # noqa: PLR2004
        return f"{count} bytes"
    if count < 1024**2:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024**2:.1f} MiB"

"""`prefect manifest`: what a platform's user applies to run an image there. Nothing of it is executed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect.cli.artifacts import find_sealed, image_named, is_flow_file, name_of, writing
from prefect.cli.info import manifest_of_image
from prefect.cli.options import Command, key_file_option
from prefect.cli.output import (
    is_replaceable,
    refuse_inputs,
    require_directory,
    say,
    write_plainly,
)
from prefect.errors import PrefectError
from prefect.files import replacing
from prefect.running.parameters import parse_pairs
from prefect.secrets.secret import parse_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.images.deploying.job import Job, Part

_KINDS = ("kubernetes-job", "kubernetes-cronjob", "compose", "slurm", "systemd")
_ENDINGS = (".service", ".timer")


@click.command(cls=Command, short_help="Print what a platform applies to run an image there.")
@click.argument("image")
@click.option("--kind", type=click.Choice(_KINDS), required=True, help="For which platform.")
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE",
    help="A parameter of the flow, as for `prefect run`, checked now. May be repeated.",
)  # fmt: skip
@click.option(
    "-e", "--env", multiple=True, metavar="NAME=VALUE",
    help="A variable of the container; never a secret. May be repeated.",
)  # fmt: skip
@key_file_option
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME",
    help="Name of a secret that the flow needs beside those that it names itself. May be repeated.",
)  # fmt: skip
@click.option(
    "--secret-name", metavar="PLACE",
    help="Where the platform has the values of secrets: Kubernetes' Secret (by default of the name "
    "of the job), or a directory with a file for each.",
)  # fmt: skip
@click.option("-m", "--memory", metavar="SIZE", help="Memory at most, such as 512m or 2g.")
@click.option("--cpus", metavar="NUMBER", help="Processors at most, such as 2 or 1.5.")
@click.option("--gpus", type=click.IntRange(1, 1024), metavar="NUMBER", help="NVIDIA GPUs.")
@click.option(
    "--retries", type=click.IntRange(0, 1000), metavar="NUMBER",
    help="How often a flow that failed (1) is run again; not one with bad input (2).",
)  # fmt: skip
@click.option(
    "--time-limit", metavar="TIME", help="For all of it, retries too: 90s, 15m, 1h30m, 2d."
)
@click.option(
    "--schedule", metavar="CRON",
    help="When it runs, such as '0 6 * * *' or @daily: for kubernetes-cronjob, and for systemd a "
    "timer. By default by the flow's own schedule, if it has one.",
)  # fmt: skip
@click.option(
    "--timezone", metavar="ZONE", help="Of the schedule, such as Europe/Berlin; else UTC."
)
@click.option("--name", help="Of the job; by default after the flow.")
@click.option("-u", "--user", metavar="UID[:GID]", help="Run as this; else as the image says.")
@click.option(
    "-v", "--volume", multiple=True, metavar="SOURCE:TARGET[:ro]",
    help="Mount a path of the machine, or a volume (for Kubernetes, a claim). May be repeated.",
)  # fmt: skip
@click.option("--writable", is_flag=True, help="Let it write elsewhere than to /tmp and volumes.")
@click.option("-n", "--namespace", help="Kubernetes' namespace.")
@click.option("--service-account", metavar="NAME", help="Kubernetes' account, whose token it gets.")
@click.option(
    "--pull-secret", multiple=True, metavar="NAME",
    help="Kubernetes' Secret with the registry's login. May be repeated.",
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(["podman", "docker"]),
    help="What the service of systemd runs the container with; podman, if this is not given.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file; a timer goes beside it.",
)  # fmt: skip
def manifest(
    image: str,
    kind: str,
    parameters: tuple[str, ...],
    key_file: tuple[Path, ...],
    secrets: tuple[str, ...],
    output: Path | None,
    **options: object,
) -> None:
    """Print what is applied on a platform to run IMAGE there, by its digest.

    IMAGE is a flow image in a registry, such as ghcr.io/team/etl:1. Platforms are Kubernetes
    (kubernetes-job, kubernetes-cronjob), docker compose, Slurm with Apptainer, and systemd. Secrets come
    by reference, and the comments on top say how the platform gets their values; the container has no
    privileges, and a read-only root file system. Of a sealed flow, its key is a secret, too.
    """
    from prefect.images.deploying import kinds, pinning  # noqa: PLC0415 - for this command alone

    given = {name.replace("_", "-"): value for name, value in options.items()}
    pairs = parse_pairs(parameters)
    try:
        named = parse_secrets(secrets)
        settings = kinds.settings_for(kind, given)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    pinned = pinning.pin(_name(image))
    found = manifest_of_image(pinned.image, key_file)
    try:
        job = kinds.make_job(kind, pinned, found, settings, pairs=pairs, secrets=named)
        parts = kinds.KINDS[kind].write(job)
    except PrefectError:  # of the flow, whose own errors are ValueErrors, too
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _write(parts, output, key_file)
    _note(job, kind, found.flow)


def _name(argument: str) -> str:
    """Return the image's name.

    Raises:
        click.UsageError: it is a file.
    """
    name = image_named(argument)
    if name is None:
        if is_flow_file(argument):
            what = "a flow's source"
        else:
            what = "a sealed flow" if find_sealed(argument) is not None else "an image on disk"
        raise click.UsageError(
            f"{name_of(argument)} is {what}, and platforms pull images from a registry: push one "
            "with `prefect build FILE.py --image BASE --push REGISTRY/NAME:TAG`, and give that name"
        )
    return name


def _write(parts: tuple[Part, ...], output: Path | None, key_files: tuple[Path, ...]) -> None:
    require_directory(output)
    if output is None or not is_replaceable(output):
        text = "\n".join(part.text for part in parts)
        write_plainly(output or Path("-"), text.encode())
        return
    paths = [output]
    if len(parts) > 1:
        stem = output.with_suffix("") if output.suffix in _ENDINGS else output
        paths = [stem.with_name(stem.name + part.ending) for part in parts]
    for path, part in zip(paths, parts, strict=True):
        refuse_inputs(path, key_files)
        with writing(path), replacing(path, mode=None) as file:
            file.write(part.text.encode())
    say(f"Wrote {' and '.join(map(str, paths))}.", err=True)


def _note(job: Job, kind: str, flow: Mapping[str, Any]) -> None:
    """Say what somebody may have meant otherwise."""
    if kind != "slurm" and not job.user.uid:
        say("Note: it runs as root within its container. --user 1000:1000 has it run so.", err=True)
    if flow.get("schedule") and job.schedule is None:
        say(
            "Note: the flow's own schedule does not count here: it runs when it is applied.",
            err=True,
        )
    if kind == "systemd" and job.schedule is None:
        say("Note: without --schedule there is no timer: `systemctl start` runs it.", err=True)

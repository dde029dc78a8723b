"""Options of `prefect run` that say where it runs, and what it gets of the machine there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect.places.surroundings import Surroundings

PLACES = ("here", "venv", "sandbox", "engine")

_OPTIONS = (
    click.option(
        "--volume", "volumes", multiple=True, metavar="SOURCE:TARGET[:ro]",
        help="For an image: a file or directory of this machine, or a named volume, and where it is "
        "seen. May be repeated.",
    ),
    click.option(
        "--env", multiple=True, metavar="NAME[=VALUE]",
        help="A variable, or the name of one that is passed on from here. For what is secret there "
        "is --secret. May be repeated.",
    ),
    click.option("--memory", metavar="SIZE", help="Memory at most, such as 512m or 2g."),
    click.option("--cpus", type=float, metavar="NUMBER", help="Processors at most, such as 1.5."),
    click.option("--gpus", metavar="WHICH", help="GPUs: all, a number, or device=0,1."),
    click.option("--user", metavar="NAME|UID[:GROUP]", help="Who runs it, in an image."),
    click.option(
        "--network", metavar="NAME",
        help="The network of an image's run: host, none, or one of the container engine's. A sandbox "
        "has none unless host is asked for.",
    ),
    click.option("--workdir", metavar="PATH", help="The directory that it runs in, in the place."),
)  # fmt: skip


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `surroundings` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def surroundings(
    *,
    volumes: tuple[str, ...],
    env: tuple[str, ...],
    memory: str | None,
    cpus: float | None,
    gpus: str | None,
    user: str | None,
    network: str | None,
    workdir: str | None,
    output: Path | None,
) -> Surroundings:
    """Return what the options ask for.

    Raises:
        click.UsageError: one of them is not as it is written.
    """
    from prefect.places import surroundings as places  # noqa: PLC0415 - seldom asked for
    from prefect.running.output_directory import make_output_directory  # noqa: PLC0415 - the same

    single = (memory, cpus, gpus, user, network, workdir, output)
    if not volumes and not env and all(one is None for one in single):
        return places.NOTHING
    try:
        return places.Surroundings(
            volumes=tuple(map(places.Volume.parse, volumes)),
            env=places.parse_env(env),
            memory=None if memory is None else places.parse_size(memory),
            cpus=cpus,
            gpus=gpus,
            user=user,
            network=network,
            workdir=workdir,
            output=None if output is None else make_output_directory(output),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error

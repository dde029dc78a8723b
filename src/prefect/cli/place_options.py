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


def surroundings(*, output: Path | None, **asked: Any) -> Surroundings:
    """Return what the options ask for.

    Args:
        output: the directory of --output, which is made if it is not there.
        asked: values of the other options by their names, as `Surroundings.given` takes them.

    Raises:
        click.UsageError: one of them is not as it is written.
    """
    from prefect.places import surroundings as places  # noqa: PLC0415 - seldom asked for
    from prefect.running.output_directory import make_output_directory  # noqa: PLC0415 - the same

    if output is None and all(value in (None, ()) for value in asked.values()):
        return places.NOTHING
    try:
        made = None if output is None else make_output_directory(output)
        return places.Surroundings.given(**asked, output=made)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

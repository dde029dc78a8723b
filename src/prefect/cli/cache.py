"""`prefect cache`: what builds and runs keep on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from prefect.cli.options import Command
from prefect.cli.output import say
from prefect.oci.cache.directories import kept
from prefect.oci.cache.layout import ENVIRONMENT, VERSION
from prefect.oci.cache.of_user import SIZE_VARIABLE, cache_directory, cache_limit, clear_cache
from prefect.printable import size

if TYPE_CHECKING:
    from pathlib import Path


@click.command(cls=Command, short_help="Show or clear what builds and runs keep on disk.")
@click.option("--clear", is_flag=True, help="Delete it, but for what running builds and flows use.")
def cache(clear: bool) -> None:
    """Show where builds keep layers and locks, and runs environments, and how much that is.

    All is known by its content, so nothing here grows stale: what was not used for longest goes
    first when there is too much. After clearing, the next build makes its layers again and resolves its
    dependencies anew, and the next run makes its environment.
    """
    directory = cache_directory()
    if directory is None:
        say("There is no home directory: nothing is kept.")
        return
    if clear:
        say(f"Deleted {size(clear_cache())} from {directory}.")
        return
    say(
        f"{directory}: {size(_used(directory))} of at most {size(cache_limit())} ({SIZE_VARIABLE})."
    )
    sizes = [used for kind, used in kept(directory / VERSION) if kind == ENVIRONMENT]
    if sizes:
        named = "environment of flows" if len(sizes) == 1 else "environments of flows"
        say(f"Of that, {len(sizes)} {named}: {size(sum(sizes))}.")


def _used(directory: Path) -> int:
    used = 0
    for base, _, files in os.walk(directory):
        for name in files:
            with suppress(FileNotFoundError):  # of a build that goes on meanwhile
                used += os.lstat(os.path.join(base, name)).st_size  # noqa: PTH118
    return used

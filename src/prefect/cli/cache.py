"""`prefect cache`: what builds and runs keep on disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from prefect.cli.options import Command
from prefect.cli.output import say
from prefect.oci.cache.directories import kept
from prefect.oci.cache.layout import ENVIRONMENT, VERSION
from prefect.oci.cache.of_user import SIZE_VARIABLE, cache_directory, cache_limit, clear_cache
from prefect.printable import size
from prefect.store.pruning import DEFAULT_LIMIT
from prefect.store.pruning import SIZE_VARIABLE as STORE_SIZE_VARIABLE
from prefect.store.store import default_store
from prefect.user_cache import size_limit
from prefect.worker.unpacking import discard, kept_directories


@click.command(cls=Command, short_help="Show or clear what builds and runs keep on disk.")
@click.option("--clear", is_flag=True, help="Delete it, but for what running builds and flows use.")
def cache(clear: bool) -> None:
    """Show where builds keep layers and locks, and runs environments, and how much that is.

    What .pyz files have unpacked to run is shown and cleared with it; the four that were used last are
    kept. All is known by its content, so nothing here grows stale: what was not used for longest goes
    first when there is too much. After clearing, the next build makes its layers again and resolves its
    dependencies anew, and the next run makes its environment. Results and records of runs are shown, and
    not cleared: `prefect runs prune` removes them.
    """
    directory = cache_directory()
    if directory is None:
        say("There is no home directory: nothing is kept.")
        return
    unpacked = kept_directories()
    before = sum(map(_used, unpacked))
    if clear:
        for one in unpacked:
            discard(one)
        freed = clear_cache() + before - sum(map(_used, kept_directories()))
        say(f"Deleted {size(freed)} from {directory}.")
        return
    used = _used(directory) - before
    say(f"{directory}: {size(used)} of at most {size(cache_limit())} ({SIZE_VARIABLE}).")
    sizes = [used for kind, used in kept(directory / VERSION) if kind == ENVIRONMENT]
    if sizes:
        named = "environment of flows" if len(sizes) == 1 else "environments of flows"
        say(f"Of that, {len(sizes)} {named}: {size(sum(sizes))}.")
    if unpacked:
        named = "directory" if len(unpacked) == 1 else "directories"
        say(f"Beside it, {len(unpacked)} {named} that .pyz files have unpacked: {size(before)}.")
    store = Path(default_store())
    if store.is_dir():
        limit = size(size_limit(STORE_SIZE_VARIABLE, DEFAULT_LIMIT))
        say(
            f"{store}: {size(_used(store))} of results and records of runs, of at most {limit} ({STORE_SIZE_VARIABLE})."
        )


def _used(directory: Path) -> int:
    used = 0
    for base, _, files in os.walk(directory):
        for name in files:
            with suppress(FileNotFoundError):  # of a build that goes on meanwhile
                used += os.lstat(os.path.join(base, name)).st_size  # noqa: PTH118
    return used

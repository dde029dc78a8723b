"""The directory of a store on this machine, as a place gets it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.running.flow_directory import PREFIX
from prefect.store.files import make_directory

if TYPE_CHECKING:
    from prefect.places.protocol import Work

STORE_DIRECTORY = f"{PREFIX}/store"
"""Where containers and sandboxes have it."""


def store_of(work: Work) -> list[str]:
    """Return the directory of the store that some work needs, which is there then; none of a URL.

    Raises:
        PlaceError: it cannot be made, or not be written.
    """
    directory = None if work.kept is None else work.kept.directory
    if directory is None:
        return []
    try:
        make_directory(Path(directory))
    except OSError as error:
        raise PlaceError(f"The store {directory} cannot be made: {error.strerror}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PlaceError(f"The store {directory} cannot be written: name another with --store")
    return [directory]

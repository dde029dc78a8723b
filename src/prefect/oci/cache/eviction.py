"""What is removed from the store: what nobody uses where there is too much, and what the dead left."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.oci.cache import directories
from prefect.oci.cache.layout import LOCK, locked

if TYPE_CHECKING:
    from collections.abc import Iterable


def evict(files: Iterable[Path], kept: Path, limit: int) -> int:
    """Delete what nobody has locked, longest unused first, until the rest is within limit.

    Args:
        files: directories whose files are deleted.
        kept: the directory of those that `directories.keep` keeps, each as a whole.
        limit: in bytes.

    Returns:
        The number of bytes that were given back.
    """
    found: list[tuple[float, int, Path]] = []
    for directory in files:
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime, status.st_size, Path(entry.path)))
    for place in kept.iterdir():
        with suppress(OSError):
            found.append(((place / LOCK).stat().st_mtime, directories.size(place), place))
    total = sum(size for _, size, _ in found)
    freed = 0
    for _, size, path in sorted(found):
        if total - freed <= limit:
            break
        with suppress(OSError):
            if path.parent == kept:
                freed += directories.discard(path) or 0
                continue
            with locked(path, wait=False) as mine:
                if mine:
                    path.unlink(missing_ok=True)
                    freed += size
    return freed


def sweep(directory: Path) -> None:
    """Delete the files and directories that are not locked: who made them is not alive any more.

    What locks a directory is its file `LOCK`.
    """
    for path in list(directory.iterdir()):
        below = path.is_dir()
        with (
            suppress(OSError),
            locked(path / LOCK if below else path, create=below, wait=False) as mine,
        ):
            if mine and below:
                shutil.rmtree(path, ignore_errors=True)
            elif mine:
                path.unlink(missing_ok=True)


def sweep_kept(kept: Path) -> None:
    """Delete the directories that somebody who is not alive any more has left half made or removed."""
    for place in list(kept.iterdir()):
        with suppress(OSError):
            if not directories.size(place):
                directories.discard(place)

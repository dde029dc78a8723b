"""The files of an image as one tree of hard links, for where no overlay can be had."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prefect.places.sandbox.stack import Found, Stack


def merge(stack: Stack, directory: Path, wanted: Iterable[tuple[str, bool]]) -> None:
    """Link every file that an image shows into an empty directory.

    The files are those of the layers' trees: whoever changes them here changes them there. So a run
    sees this tree read-only.

    Args:
        wanted: paths without links that are there in any case, for what is mounted on them, and
            whether that is a directory.
    """
    root = stack.find("")
    if root is not None:
        _merge(stack, root, "", directory)
    for path, is_directory in wanted:
        target = directory / path.lstrip("/")
        if stack.find(path) is None:
            (target if is_directory else target.parent).mkdir(0o755, parents=True, exist_ok=True)
            if not is_directory:
                target.touch()


def _merge(stack: Stack, above: Found, path: str, directory: Path) -> None:
    names = {entry for _, place in above.places for entry in os.listdir(place)}  # noqa: PTH208
    for name in sorted(names):
        below = f"{path}/{name}" if path else name
        found = stack.below(above, name, below)
        if found is None:  # removed by an upper layer
            continue
        target = directory / name
        if found.is_directory:
            target.mkdir(0o700)
            _merge(stack, found, below, target)
            target.chmod(stat.S_IMODE(found.status.st_mode))
            os.utime(target, ns=(found.status.st_mtime_ns, found.status.st_mtime_ns))
        else:
            try:
                os.link(found.path, target, follow_symlinks=False)
            except OSError:  # a file system has a limit of links to one file
                shutil.copy2(found.path, target, follow_symlinks=False)

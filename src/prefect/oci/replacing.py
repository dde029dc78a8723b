"""Writing a file so that it is there complete, or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replacing(path: os.PathLike[str], *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Yield a new file beside the path that takes its name once it is complete and on disk.

    A former file of that name stays as it is until then, and its permissions are kept; a new one
    has those of `mode`. After an error nothing is left behind.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(path).resolve()  # through a symbolic link, to the file that it means
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            os.fchmod(file.fileno(), target.stat().st_mode & 0o777 if target.exists() else mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the name itself
    finally:
        os.close(directory)

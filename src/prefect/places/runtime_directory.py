"""This package and what it needs to run a flow, as a directory that any Python of a series can start."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.images.runtime import runtime_files
from prefect.oci.images import canonical_json

if TYPE_CHECKING:
    from prefect.oci.cache.directories import HeldDirectory
    from prefect.oci.cache.store import Store

_FORMAT = 1
_MAIN = b"""import sys
from prefect.worker.__main__ import main
sys.exit(main())
"""


def runtime_directory(store: Store, *, cloudpickle: bool = True) -> HeldDirectory:
    """Return a directory that `python -I DIRECTORY ARGUMENTS...` runs the worker of.

    Args:
        store: keeps it.
        cloudpickle: whether it has the cloudpickle that is installed here, too.

    Raises:
        DiskFullError: the disk is full.
        OSError: the store cannot be written.
    """
    files = {**runtime_files(), "__main__.py": _MAIN}
    if cloudpickle:
        files |= _distribution_files("cloudpickle")
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    key = canonical_json([_FORMAT, digests]).decode()

    def make(directory: Path) -> None:
        for path, data in files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    return store.directory(f"runtime {key}", make)


def _distribution_files(name: str) -> dict[str, bytes]:
    distribution = metadata.distribution(name)
    return {
        str(file): Path(str(file.locate())).read_bytes()
        for file in distribution.files or ()
        if ".." not in file.parts and "__pycache__" not in file.parts
    }

"""What a file that runs by itself has in the clear beside its sealed flow: this package, and cryptography.

Build passes here, to have it ready before anything is sealed: the manifest names it by its digest.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from importlib import metadata
from typing import TYPE_CHECKING

from prefect.dependencies.reassembling import reassemble
from prefect.dependencies.target_locks import lock_exactly
from prefect.dependencies.targets import targets, this_target
from prefect.dependencies.vendoring import vendor
from prefect.errors import RequirementsError
from prefect.files import private_directory
from prefect.frozen import replace
from prefect.images.runtime import runtime_files
from prefect.payload.closure import installed_closure
from prefect.pylock import USUAL_GLIBC
from prefect.pyz.reading import INDEX, MAIN, RUNTIME, WHEELS
from prefect.pyz.writing import pack
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from prefect.dependencies.wheels import Wheel
    from prefect.pylock import Target
    from prefect.pyz.writing import Packed

_logger = logging.getLogger("prefect.environments")
_NEEDED = ("cloudpickle", "cryptography", "packaging")
# cryptography itself is for any of them, and what it comes with for one each.
SERIES = ("3.11", "3.12", "3.13")

# Python 2 has to understand it as well, to say that it is too old.
START = b"""\
import os
import sys

if sys.version_info < (3, 11) or sys.implementation.name != "cpython":
    sys.stderr.write(
        "Error: this file needs CPython 3.11 or newer, and %s is Python %d.%d. Name a newer one: "
        "python3.11 FILE.pyz\\n" % ((sys.executable,) + tuple(sys.version_info[:2]))
    )
    sys.exit(2)
here = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(here, "runtime")

from prefect.worker.unpacking import start

start(here)
"""


def clear_members(
    platforms: Sequence[str] = (), pythons: Sequence[str] = ()
) -> tuple[list[Packed], str]:
    """Return what stands in the clear, and the digest of its index, as a manifest has it.

    Args:
        platforms: that it is to run on, such as "linux/arm64"; none is the one here.
        pythons: series, such as "3.12"; none are all that this release knows, or, where no index can
            be reached, the one here.

    Raises:
        ValueError: a platform or a Python is unknown.
        RequirementsError: cryptography or another part cannot be had for one of them.
        SettingError: a cache cannot be used.
        OSError: there is no space for it.
    """
    files = {MAIN: START}
    files |= {f"{RUNTIME}{name}": content for name, content in runtime_files().items()}
    with private_directory("prefect-pyz-build") as directory:
        for wheel in _wheels(directory, platforms, pythons):
            files[f"{WHEELS}{wheel.path.name}"] = wheel.path.read_bytes()
    members = pack(files, __version__)
    (index,) = (one.content() for one in members if one.name == INDEX)
    return members, sha256(index).hexdigest()


def warn_of_one_series(wheels: Iterable[str]) -> None:
    """Say which of the wheels that travel are for the Python here alone, if there are any.

    Args:
        wheels: names of their files.
    """
    tags = {name.partition("-")[0]: name.split("-")[-3:-1] for name in wheels}
    bound = [name for name, (python, abi) in tags.items() if python[:2] == "cp" and abi != "abi3"]
    if bound:
        verb, it = ("travels", "it") if len(bound) == 1 else ("travel", "them")
        _logger.warning(
            "%s %s for Python %s alone, and so the file runs on no other: --python %s (pythons=) takes %s along "
            "for each", ", ".join(sorted(bound)), verb, this_target().python, ",".join(SERIES), it,
        )  # fmt: skip


def _wheels(directory: Path, platforms: Sequence[str], pythons: Sequence[str]) -> list[Wheel]:
    here = this_target()
    wanted = [_as_usual(one) for one in targets(platforms, pythons or {*SERIES, here.python})]
    needed = installed_closure([f"{name}=={metadata.version(name)}" for name in _NEEDED])
    lines = [f"{name}=={version}" for name, version in needed.items()]
    fetched = directory / "fetched"
    fetched.mkdir()
    try:
        return vendor(lock_exactly(lines, wanted), (), fetched)
    except RequirementsError as error:
        if platforms or pythons not in ((), (here.python,)):
            raise
        try:  # what is installed fits here for certain, and needs no index
            found = [reassemble(name, directory) for name in needed]
        except RequirementsError:
            raise error from None
        _logger.warning(
            "The file will run by Python %s on %s, and perhaps on no older system than this one: "
            "cryptography for others cannot be had (%s). Build it again with a network",
            here.python, here.platform, str(error).strip().rpartition("\n")[2].strip(),
        )  # fmt: skip
        return found


def _as_usual(target: Target) -> Target:
    """Return a target for machines with an older C library than this one, too."""
    newer = target.glibc is not None and target.glibc > USUAL_GLIBC
    return replace(target, glibc=USUAL_GLIBC) if newer else target

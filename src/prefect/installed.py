"""What is installed here, as the names of its directories say it.

Opening what is in them takes a hundred times as long, and importing `importlib.metadata` as long as a
small flow takes to run (the PyPA's specification "Recording installed projects").
"""

from __future__ import annotations

import os
import re
import sys

from prefect.patterns import pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = pattern(r"([A-Za-z0-9][^-]*)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")


def normal_name(name: str) -> str:
    """Return a distribution's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions() -> Iterator[tuple[str, str]]:
    """Yield name, normalised, and version of each distribution, those that are imported first."""
    for name, version, _ in distribution_directories():
        yield name, version


def distribution_directories() -> Iterator[tuple[str, str, str]]:
    """Yield what `distributions` yields, each with the directory of its metadata."""
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")  # noqa: PTH208 - Path objects of all cost more
        except OSError:  # not there, or an archive
            continue
        for name in sorted(names):
            if name.endswith("-info") and (match := _DIRECTORY.fullmatch(name)):
                yield normal_name(match[1]), match[2], f"{directory or '.'}/{name}"


def cloudpickle_here() -> str:
    """Return the version of the cloudpickle that is installed here."""
    for name, version in distributions():
        if name == "cloudpickle":
            return version
    from importlib import metadata  # noqa: PLC0415 - slow to import, and the names mostly suffice

    return metadata.version("cloudpickle")

"""What is installed here, as the names of its directories say it.

Opening what is in them takes a hundred times as long, and importing `importlib.metadata` as long as a
small flow takes to run (the PyPA's specification "Recording installed projects").
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from types import ModuleType

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


_OWN = __name__.partition(".")[0]


def is_local(name: str, module: object) -> bool:
    """Whether a module that is imported is a local one: neither installed nor the standard library's, nor ours."""
    if not isinstance(module, ModuleType) or getattr(module, "__name__", None) != name:
        return False
    if name.partition(".")[0] in {_OWN, *sys.stdlib_module_names}:
        return False
    known = vars(module)  # some make up an attribute that they are asked for
    return are_local([known.get("__file__"), *(known.get("__path__") or ())])


def are_local(places: list[str | None]) -> bool:
    """Whether a module with these files and directories is local."""
    # A namespace package has no file of its own, but directories.
    paths = [place for place in places if place not in {None, "built-in", "frozen"}]
    return bool(paths) and not any(is_installed_at(str(path)) for path in paths)


def is_installed_at(path: str) -> bool:
    """Tell whether a path is below the standard library or where packages are installed."""
    return path.startswith(_installed_prefixes())


@cache
def _installed_prefixes() -> tuple[str, ...]:
    import site  # noqa: PLC0415 - for this alone
    import sysconfig  # noqa: PLC0415 - the same

    found = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    found += [
        path for path in sys.path if path.rpartition("/")[2] in {"site-packages", "dist-packages"}
    ]
    prefixes = {path.rstrip("/") + "/" for path in found if path}
    prefixes |= {os.path.realpath(path) + "/" for path in prefixes}
    return tuple(sorted(prefixes))

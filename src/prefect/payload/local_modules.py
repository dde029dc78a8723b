"""Which modules are installed, and which are local: not installed, such as the script's helpers.

What is local travels with a flow; what is installed is required where the flow runs.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import util
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING

from prefect.installed import are_local, is_local

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from importlib import metadata
    from types import ModuleType

    from prefect.payload.own_modules import OwnModules

_OWN = __name__.partition(".")[0]


def loaded_local_modules(own: OwnModules | None = None) -> dict[str, ModuleType]:
    """Return the local modules that are imported here, but for the script itself, by name.

    Args:
        own: those that travel in wheels, and are left out.
    """
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name != "__main__"
        and is_local(name, module)
        and not (own is not None and own.project_of(name))
    }


def is_local_file(name: str) -> bool:
    """Whether a module that may not be imported yet would be a local one."""
    top = name.partition(".")[0]
    if top in {_OWN, *sys.stdlib_module_names}:
        return False
    try:
        spec = util.find_spec(top)
    except (ValueError, ImportError):
        return False
    return spec is not None and are_local([spec.origin, *(spec.submodule_search_locations or ())])


def is_compiled(module: ModuleType) -> bool:
    """Whether a module is machine code, which cannot travel."""
    return (getattr(module, "__file__", None) or "").endswith(tuple(EXTENSION_SUFFIXES))


def is_provided(module: str) -> bool:
    """Tell whether an installed distribution provides a top-level module."""
    return module in _providers()


def requirements_of(
    modules: Iterable[str], local: Collection[str], own: OwnModules | None = None
) -> dict[str, str]:
    """Map what is imported from elsewhere to the distributions that provide it here.

    Args:
        local: what travels by value.
        own: what travels in wheels.
    """
    found: dict[str, str] = {}
    for name in sorted(set(modules)):
        top = name.partition(".")[0]
        if name in local or not top or top in {_OWN, "__main__", "cloudpickle"}:
            continue
        if top in sys.stdlib_module_names:
            continue
        if own is not None and (line := own.line_of(name)):
            # A namespace that several share is told by the module itself.
            found[top if found.get(top, line) == line else name] = line
            continue
        if top not in _providers():
            continue
        from importlib import metadata  # noqa: PLC0415 - slow to import, and many flows need none

        module, distribution = _provider(name, top)
        found[module] = f"{distribution}=={metadata.version(distribution)}"
    return found


def _provider(name: str, top: str) -> tuple[str, str]:
    """Return the module to ask for and the distribution that provides it."""
    candidates = sorted({str(one.metadata["Name"]) for one in _providers()[top]})
    if len(candidates) > 1:  # a namespace that several share: the module's own file decides
        file = getattr(sys.modules.get(name), "__file__", None)
        for candidate in candidates:
            if file and _provides(candidate, file):
                return name, candidate
    return top, candidates[0]


@cache
def _provides(distribution: str, file: str) -> bool:
    from importlib import metadata  # noqa: PLC0415 - see above

    listed = metadata.files(distribution) or ()
    return any(file.endswith(f"/{path}") and str(path.locate()) == file for path in listed)


@cache
def _providers() -> dict[str, list[metadata.Distribution]]:
    """Map each importable top-level name to the installed distributions that provide it."""
    from importlib import metadata  # noqa: PLC0415 - see above

    found: dict[str, list[metadata.Distribution]] = {}
    # As metadata.packages_distributions does, which takes several times as long: it makes an object
    # of each of their files, and parses the metadata of all of them.
    for distribution in metadata.distributions():
        names = (distribution.read_text("top_level.txt") or "").split() or _top_names(distribution)
        for name in names:
            found.setdefault(name, []).append(distribution)
    return found


def _top_names(distribution: metadata.Distribution) -> set[str]:
    import csv  # noqa: PLC0415 - see above

    record = distribution.read_text("RECORD")
    if record is None:  # an egg, which has its files listed elsewhere
        paths = [path.as_posix() for path in distribution.files or ()]
    else:
        paths = [row[0] for row in csv.reader(record.splitlines()) if row]
    return {path.removesuffix(".py").partition("/")[0] for path in paths if path.endswith(".py")}

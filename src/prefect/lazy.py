"""Names of a package that are imported when they are first asked for, and modules that are not here."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


def lazy(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package whose names live elsewhere.

    A name of classic Prefect that is not here is refused with what to use instead.

    Args:
        package: its own name, `__name__`.
        homes: for each public name the module that has it. A name whose home is
            `package.name` is that module itself.
    """

    def find(name: str) -> Any:
        if name not in homes:
            if name[:1] != "_":
                from prefect.unsupported import refuse  # noqa: PLC0415  # seldom needed

                refuse(f"{package}.{name}")
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        __import__(homes[name])  # by itself: importlib's own front would cost a millisecond
        home = sys.modules[homes[name]]
        value = home if homes[name] == f"{package}.{name}" else getattr(home, name)
        vars(sys.modules[package])[name] = value  # so that this is not called for it again
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return find, list_names


class _ClassicModules:
    """Comes after all other finders: refuses the import of what classic Prefect had, which costs nobody else."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:  # noqa: ARG004  # as of a finder
        """Refuse a module, if it is one of those."""
        if name[:8] == "prefect.":
            from prefect.unsupported import refuse_module  # noqa: PLC0415  # seldom needed

            refuse_module(name)


def refuse_classic_modules() -> None:
    """Have the import of modules that classic Prefect had, and that are not here, say what to use instead."""
    if _ClassicModules not in sys.meta_path:
        sys.meta_path.append(_ClassicModules)

"""Names of a package that are imported when they are first asked for, and modules that are not here."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType
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
                if (module := _module(f"{package}.{name}")) is not None:
                    return module
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        __import__(homes[name])  # by itself: importlib's own front would cost a millisecond
        home = sys.modules[homes[name]]
        value = home if homes[name] == f"{package}.{name}" else getattr(home, name)
        vars(sys.modules[package])[name] = value  # so that this is not called for it again
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return find, list_names


def _module(name: str) -> Any:
    """Return a module of a package, whose modules classic Prefect's own import had all imported."""
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None
    return sys.modules[name]


class _ClassicModules:
    """Comes after all other finders: has modules under names that classic Prefect had for them, and refuses others.

    That costs nobody else.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG004  # as of a finder
        """Find another name of a module; refuse one that is not here."""
        if name[:8] != "prefect.":
            return None
        if name in _OTHER_NAMES:
            from importlib.machinery import ModuleSpec  # noqa: PLC0415  # seldom needed

            return ModuleSpec(name, _ClassicModules)  # type: ignore[arg-type]  # it is a loader
        from prefect.unsupported import refuse_module  # noqa: PLC0415  # seldom needed

        refuse_module(name)
        return None

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:  # as of a loader
        """Have the usual module made."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Give a module the names of the one that it stands for."""
        home = _module(_OTHER_NAMES[module.__name__])
        vars(module).update({name: getattr(home, name) for name in home.__all__})


_OTHER_NAMES = {
    "prefect.executors.base": "prefect.executors",
    "prefect.executors.dask": "prefect.executors",
    "prefect.executors.local": "prefect.executors",
    **{
        f"prefect.engine.results.{kind}_result": "prefect.engine.results"
        for kind in ("azure", "constant", "gcs", "local", "prefect", "s3", "secret")
    },
    "prefect.tasks.secrets.base": "prefect.tasks.secrets",
    "prefect.tasks.secrets.env_var": "prefect.tasks.secrets",
    "prefect.utilities.notifications.notifications": "prefect.utilities.notifications",
}
"""Where classic Prefect's packages had modules, and here one module has all: it has an empty `__path__`."""


def refuse_classic_modules() -> None:
    """Have the import of modules that classic Prefect had, and that are not here, say what to use instead."""
    if _ClassicModules not in sys.meta_path:
        sys.meta_path.append(_ClassicModules)

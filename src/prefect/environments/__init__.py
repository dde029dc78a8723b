"""Where a flow is packaged to run: an encrypted pickle or a container image.

Each kind is imported when it is first asked for: inside an image there is neither docker nor
cryptography, and the worker needs neither.
"""

from __future__ import annotations

from importlib import import_module

from prefect.environments.environment import Environment
from prefect.environments.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.environments.container_environment import ContainerEnvironment
    from prefect.environments.pickle_environment import PickleEnvironment

__all__ = ["ContainerEnvironment", "Environment", "PickleEnvironment", "Secret"]

_HOMES = {
    "ContainerEnvironment": "prefect.environments.container_environment",
    "PickleEnvironment": "prefect.environments.pickle_environment",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

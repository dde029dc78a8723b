"""Where a flow is packaged to run: an encrypted pickle or a container image.

Thin: build, info and run of the fixed API pass here on their way to `sealing` and `images`. Each kind
is imported when it is first asked for: inside an image there need be neither cryptography nor what
makes images, to which there is one lazy door.
"""

from __future__ import annotations

from importlib import import_module

from prefect.environments.environment import Environment
from prefect.secrets.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.environments.container import ContainerEnvironment
    from prefect.environments.pickle import PickleEnvironment

__all__ = ["ContainerEnvironment", "Environment", "PickleEnvironment", "Secret"]

_HOMES = {
    "ContainerEnvironment": "prefect.environments.container",
    "PickleEnvironment": "prefect.environments.pickle",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

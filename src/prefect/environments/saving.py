"""`Flow.save` and `Flow.load` of classic Prefect, as sealed flows: nothing is unpickled that is not authenticated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.environments.pickle import PickleEnvironment
from prefect.errors import SecretError
from prefect.running.key_variable import KEY_VARIABLE

if TYPE_CHECKING:
    from prefect.core.flow import Flow


def save(flow: Flow, path: str | os.PathLike[str]) -> str:
    """Seal a flow into a file, by its own PickleEnvironment or the key of the variable; return the path."""
    own = flow.environment
    environment = own if isinstance(own, PickleEnvironment) else _environment("save")
    environment.build_to(path, flow)
    return os.fspath(path)


def load(path: str | os.PathLike[str]) -> Flow:
    """Open a sealed flow by the key of the variable, and load it. This runs code of whoever has the key."""
    from prefect.payload.loading import load_flow  # noqa: PLC0415 - for this alone

    return load_flow(*_environment("load").open(Path(path)))


def _environment(what: str) -> PickleEnvironment:
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise SecretError(
            f"Flow.{what} needs a key, for a saved flow is sealed: set {KEY_VARIABLE} to one that `prefect keygen` "
            "has made"
        )
    return PickleEnvironment(encryption_key=key)

"""What somebody who is asked for help needs to know, under the names of classic Prefect.

Names and versions alone: no value of a setting, a constant or a parameter is in it.
"""

from __future__ import annotations

import os

from prefect.configuration import PREFIX, overridden
from prefect.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core import Flow

__all__ = [
    "config_overrides",
    "diagnostic_info",
    "environment_variables",
    "flow_information",
    "system_information",
]

_DEPENDENCIES = ("cloudpickle", "cryptography", "dask", "distributed")
_SECRETS = f"{PREFIX}CONTEXT__SECRETS__"


def system_information() -> dict[str, Any]:
    """Return the platform, the version of Python and of this package, and of what it uses, if that is there."""
    import platform  # noqa: PLC0415  # seldom needed
    from importlib import metadata  # noqa: PLC0415

    found = {}
    for name in _DEPENDENCIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    told = {
        "platform": platform.platform(),
        "python_version": platform.python_version(),
        "prefect_version": __version__,
        "dependencies": found,
    }
    return {"system_information": told}


def config_overrides(include_secret_names: bool = False) -> dict[str, Any]:
    """Return which settings of `prefect.config` are not at their defaults: True for each, not its value.

    Args:
        include_secret_names: whether to name secrets that have a value, too.
    """
    paths = [path.split("__") for path in overridden()]
    if secrets := [name[len(_SECRETS) :] for name in _variables(_SECRETS)]:
        named = [["context", "secrets", name] for name in secrets]
        paths += named if include_secret_names else [["context", "secrets"]]
    names: dict[str, Any] = {}
    for *above, last in paths:
        level = names
        for part in above:
            if not isinstance(level.get(part), dict):
                level[part] = {}
            level = level[part]
        level[last] = True
    return {"config_overrides": names}


def environment_variables() -> dict[str, Any]:
    """Return the names of the variables that are set for this package, without those of secrets."""
    secrets = _variables(_SECRETS)
    return {"env_vars": [name for name in _variables("PREFECT_") if name not in secrets]}


def _variables(beginning: str) -> list[str]:
    return sorted(name for name in os.environ if name.startswith(beginning))


def flow_information(flow: Flow) -> dict[str, Any]:
    """Return what a flow has, by the types of it, and the types of its tasks.

    Args:
        flow: the flow.
    """
    has = ("environment", "executor", "run_config", "storage", "result", "schedule")
    told: dict[str, Any] = {}
    for name in has:
        value = getattr(flow, name, None)
        kind = value.partition(":")[0] if isinstance(value, str) else type(value).__name__
        told[name] = False if value is None else {"type": kind}
    told["task_count"] = len(flow.tasks)
    told["tasks"] = {slug: type(task).__name__ for task, slug in flow.slugs.items()}
    return {"flow_information": told}


def diagnostic_info(flow: Flow | None = None, include_secret_names: bool = False) -> str:
    """Return all of it as JSON.

    Args:
        flow: a flow to tell of, too.
        include_secret_names: whether to name secrets that have a value.
    """
    import json  # noqa: PLC0415  # seldom needed

    told = {
        **system_information(),
        **config_overrides(include_secret_names),
        **environment_variables(),
        **({} if flow is None else flow_information(flow)),
    }
    return json.dumps(told, sort_keys=True, indent=2)

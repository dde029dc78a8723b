"""Print, in JSON, what the public modules of the installed `prefect` offer: names and signatures.

It runs in the environment of classic Prefect: see classic_oracle.py.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import types

CORE = (
    "prefect", "prefect.configuration", "prefect.core", "prefect.core.edge", "prefect.core.flow",
    "prefect.core.parameter", "prefect.core.task", "prefect.engine", "prefect.engine.executors",
    "prefect.engine.cache_validators", "prefect.engine.result", "prefect.engine.results",
    "prefect.engine.serializers", "prefect.engine.signals", "prefect.engine.state",
    "prefect.exceptions", "prefect.executors", "prefect.schedules", "prefect.schedules.adjustments",
    "prefect.schedules.clocks", "prefect.schedules.filters", "prefect.schedules.schedules",
    "prefect.tasks.control_flow", "prefect.tasks.control_flow.case",
    "prefect.tasks.control_flow.conditional", "prefect.tasks.control_flow.filter",
    "prefect.tasks.core.collections", "prefect.tasks.core.constants", "prefect.tasks.core.function",
    "prefect.tasks.core.operators", "prefect.tasks.core.resource_manager", "prefect.tasks.prefect",
    "prefect.tasks.secrets", "prefect.tasks.shell", "prefect.triggers", "prefect.storage",
    "prefect.run_configs",
)  # fmt: skip
MEMBERS = ("prefect.Flow", "prefect.Task", "prefect.Parameter", "prefect.engine.state.State")


def signature(value: object) -> str | None:
    """Return the parameters of what can be called, with which may be left out; no annotations."""
    try:
        parameters = list(inspect.signature(value).parameters.values())  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    texts, star = [], False
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not star:
            texts.append("*")
            star = True
        star = star or each.kind is each.VAR_POSITIONAL
        prefix = "*" if each.kind is each.VAR_POSITIONAL else "**" * (each.kind is each.VAR_KEYWORD)
        texts.append(f"{prefix}{each.name}{'' if each.default is each.empty else '=...'}")
    return f"({', '.join(texts)})"


def offered(module: types.ModuleType) -> list[str]:
    """Return what a module exports: its `__all__`, else its own public names."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    is_package = hasattr(module, "__path__")
    return [
        name
        for name, value in vars(module).items()
        if re.match(r"[A-Za-z]", name)
        and (inspect.isclass(value) or inspect.isfunction(value))
        and (
            value.__module__ == module.__name__
            or (is_package and value.__module__.startswith(module.__name__))
        )
    ]


def main() -> None:
    """Print them."""
    utilities = importlib.import_module("prefect.utilities")
    found = [f"prefect.utilities.{each.name}" for each in pkgutil.iter_modules(utilities.__path__)]
    names: dict[str, object] = {}
    for path in (*CORE, *found):
        try:
            module = importlib.import_module(path)
        except ImportError:  # of what an extra of it would bring
            continue
        names[path] = {
            name: signature(getattr(module, name, None)) for name in sorted(set(offered(module)))
        }
    for path in MEMBERS:
        home, _, name = path.rpartition(".")
        kind = getattr(importlib.import_module(home), name)
        names[path] = {
            member: signature(getattr(kind, member))
            for member in sorted(dir(kind))
            if not member.startswith("_")
        }
    print("\n" + json.dumps(names, indent=1))


if __name__ == "__main__":
    main()

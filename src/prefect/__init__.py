"""Package a workflow into an environment and run it there.

```python
from prefect import Flow, Parameter, task

@task
def double(x):
    return 2 * x

with Flow("example") as flow:
    doubled = double(Parameter("x"))

state = flow.run(x=21)
assert state.result[doubled].result == 42
```
"""

from __future__ import annotations

from prefect import core
from prefect.lazy import lazy, refuse_classic_modules
from prefect.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import Any

    from prefect import engine, environments, errors, triggers
    from prefect.configuration import config
    from prefect.core.composing import apply_map, tags
    from prefect.core.context import context
    from prefect.core.flow import Flow
    from prefect.core.function_task import task
    from prefect.core.inputs import flatten, mapped, unmapped
    from prefect.core.parameter import Parameter
    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.errors import PrefectError
    from prefect.secrets.secret import Secret
    from prefect.tasks.control_flow.case import case
    from prefect.tasks.core.resource_manager import resource_manager

__all__ = [
    "Flow",
    "Parameter",
    "PrefectError",
    "Secret",
    "Task",
    "__version__",
    "apply_map",
    "case",
    "config",
    "context",
    "engine",
    "environments",
    "errors",
    "flatten",
    "mapped",
    "resource_manager",
    "tags",
    "task",
    "triggers",
    "unmapped",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Flow": "prefect.core.flow",
        "Parameter": "prefect.core.parameter",
        "PrefectError": "prefect.errors",
        "Secret": "prefect.secrets.secret",
        "Task": "prefect.core.task",
        "apply_map": "prefect.core.composing",
        "case": "prefect.tasks.control_flow.case",
        "config": "prefect.configuration",
        "context": "prefect.core.context",
        "engine": "prefect.engine",
        "environments": "prefect.environments",
        "errors": "prefect.errors",
        "flatten": "prefect.core.inputs",
        "mapped": "prefect.core.inputs",
        "resource_manager": "prefect.tasks.core.resource_manager",
        "tags": "prefect.core.composing",
        "task": "prefect.core.function_task",
        "triggers": "prefect.triggers",
        "unmapped": "prefect.core.inputs",
    },
)


def _run(*args: Any, kept: Any = None, progress: bool = False, telemetry: bool = False) -> State:
    if progress:
        from prefect.progress.showing import run_shown  # noqa: PLC0415  # where it is asked for

        return run_shown(lambda *args: _run(*args, kept=kept, telemetry=telemetry), *args)
    if telemetry:
        from prefect.telemetry.run import run_told  # noqa: PLC0415  # likewise

        return run_told(lambda *args: _run(*args, kept=kept), *args)
    if kept is not None:
        from prefect.keeping.run import run_kept  # noqa: PLC0415  # for flows that keep something

        return run_kept(kept, *args)
    from prefect.engine.flow_run import run_flow  # noqa: PLC0415  # for flows that run

    return run_flow(*args)


def _run_on_schedule(*args: Any) -> State:
    from prefect.engine.scheduling import run_on_schedule  # noqa: PLC0415  # for flows with one

    return run_on_schedule(*args)


async def _arun(call: Callable[[], State]) -> State:
    from prefect.engine.awaiting import in_thread  # noqa: PLC0415  # for flows that run

    return await in_thread(call)


def _save(flow: Flow, path: str | PathLike[str]) -> str:
    from prefect.environments.saving import save  # noqa: PLC0415  # for flows that are saved

    return save(flow, path)


def _load(path: str | PathLike[str]) -> Flow:
    from prefect.environments.saving import load  # noqa: PLC0415  # for flows that are loaded

    return load(path)


def _diagnose(flow: Flow, include_secret_names: bool) -> str:
    from prefect.utilities.diagnostics import diagnostic_info  # noqa: PLC0415  # seldom needed

    return diagnostic_info(flow, include_secret_names)


core.runner = _run
core.diagnoser = _diagnose
core.saver, core.loader = _save, _load
core.scheduled_runner = _run_on_schedule
core.async_runner = _arun
refuse_classic_modules()

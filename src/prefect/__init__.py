"""Package a workflow into an environment and run it there.

from prefect import Flow, Parameter, task

@task
def double(x):
return 2 * x

with Flow("example") as flow:
double(Parameter("x"))

flow.run(x=21)
"""

from __future__ import annotations

from prefect import engine, triggers
from prefect.core.context import context
from prefect.core.flow import Flow
from prefect.core.inputs import unmapped
from prefect.core.parameter import Parameter
from prefect.core.task import Task, task
from prefect.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from prefect import environments

__all__ = [
    "Flow",
    "Parameter",
    "Task",
    "__version__",
    "context",
    "engine",
    "environments",
    "task",
    "triggers",
    "unmapped",
]


def __getattr__(name: str) -> ModuleType:
    if name == "environments":  # not imported above: most programs that run flows need none
        from importlib import import_module  # noqa: PLC0415

        return import_module("prefect.environments")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

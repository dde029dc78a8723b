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

from prefect import engine, triggers
from prefect.core.context import context
from prefect.core.flow import Flow
from prefect.core.inputs import unmapped
from prefect.core.parameter import Parameter
from prefect.core.task import Task, task
from prefect.lazy import lazy
from prefect.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect import environments, errors
    from prefect.errors import PrefectError
    from prefect.secrets.secret import Secret

__all__ = [
    "Flow",
    "Parameter",
    "PrefectError",
    "Secret",
    "Task",
    "__version__",
    "context",
    "engine",
    "environments",
    "errors",
    "task",
    "triggers",
    "unmapped",
]

# Not imported above: most programs that run flows need none of them.
__getattr__, __dir__ = lazy(
    __name__,
    {
        "PrefectError": "prefect.errors",
        "Secret": "prefect.secrets.secret",
        "environments": "prefect.environments",
        "errors": "prefect.errors",
    },
)

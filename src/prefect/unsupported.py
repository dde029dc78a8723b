"""What classic Prefect had and this package has not, each with what to use instead.

Classic Prefect's flows ran by a server and its agents. There is no server here: a flow is packaged, and
run where it is to run.
"""

from __future__ import annotations

from prefect.errors import UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PACKAGED = (
    "a flow takes along what it needs: `prefect build FILE.py -o flow.flow`, or an image, `prefect build "
    "FILE.py --image BASE`"
)
_PLACES = (
    "where a packaged flow runs, and with what, is said when it runs: `prefect run ARTIFACT --in engine "
    "--memory 2g`, or `prefect manifest IMAGE --kind kubernetes-job`"
)
_SERVERLESS = (
    "there is no server, and nothing to register with: `prefect build` packages a flow, and `prefect run` or "
    "`prefect manifest` runs it"
)
_FLOWS_OF_FLOWS = (
    "a task runs another flow by `flow.run()`, and a packaged one by `prefect.places.run(artifact)`"
)
_ENVIRONMENTS = (
    "flows are packaged by ContainerEnvironment and PickleEnvironment, and their tasks run where "
    "`Flow(executor=...)` says"
)

_REASONS = {
    "prefect.Client": _SERVERLESS,
    "prefect.Flow.deploy": _SERVERLESS,
    "prefect.Flow.diagnostics": "`prefect graph FILE.py` and `prefect info ARTIFACT` say what a flow is",
    "prefect.Flow.load": "`prefect run FLOW.flow` and `PickleEnvironment.run` load what was packaged",
    "prefect.Flow.register": _SERVERLESS,
    "prefect.Flow.run_agent": _SERVERLESS,
    "prefect.Flow.run_config": _PLACES,
    "prefect.Flow.save": _PACKAGED,
    "prefect.Flow.storage": _PACKAGED,
    "prefect.agent": _PLACES,
    "prefect.api": _SERVERLESS,
    "prefect.artifacts": "files go to prefect.context.output_dir, and values to `prefect run --result FILE`",
    "prefect.backend": _SERVERLESS,
    "prefect.client": _SERVERLESS,
    "prefect.engine.CloudFlowRunner": _SERVERLESS,
    "prefect.engine.CloudTaskRunner": _SERVERLESS,
    "prefect.engine.FlowRunner": "`flow.run()` runs a flow",
    "prefect.engine.TaskRunner": "`flow.run()` runs a flow, and `task.run(...)` calls a task's function",
    "prefect.environments.DaskKubernetesEnvironment": _ENVIRONMENTS,
    "prefect.environments.FargateTaskEnvironment": _ENVIRONMENTS,
    "prefect.environments.KubernetesJobEnvironment": _ENVIRONMENTS,
    "prefect.environments.LocalEnvironment": _ENVIRONMENTS,
    "prefect.environments.RemoteEnvironment": _ENVIRONMENTS,
    "prefect.environments.execution": _ENVIRONMENTS,
    "prefect.environments.storage": _PACKAGED,
    "prefect.models": _SERVERLESS,
    "prefect.plugins": _SERVERLESS,
    "prefect.run_configs": _PLACES,
    "prefect.storage": _PACKAGED,
    "prefect.tasks.prefect": _FLOWS_OF_FLOWS,
}


def refuse(name: str) -> None:
    """Refuse the use of a name that classic Prefect had, if it is one.

    Raises:
        UnsupportedError: it is; the message says what to use instead.
    """
    reason = _REASONS.get(name)
    if reason is not None:
        raise UnsupportedError(f"{name} of classic Prefect is not here: {reason}")


class RefusedAttribute:
    """An attribute of flows that cannot be set: None, and an error for anything else."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"prefect.{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> None:
        """Return None, as of a flow that has none."""

    def __set__(self, instance: object, value: object) -> None:
        if value is not None:
            refuse(self._name)


class RefusedMethod:
    """A method whose call is an error."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"prefect.{owner.__name__}.{name}"

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., None]:
        """Return what refuses its call."""

        def refused(*_: Any, **__: Any) -> None:
            refuse(self._name)

        refused.is_refused = True  # type: ignore[attr-defined]  # for the page of what is here
        return refused

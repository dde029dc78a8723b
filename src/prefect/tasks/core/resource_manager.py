"""`resource_manager`: a class as a resource that tasks need, set up before them and cleaned up after."""

from __future__ import annotations

from prefect.core.context import building
from prefect.core.function_task import FunctionTask
from prefect.core.signals import SKIP, TRIGGERFAIL
from prefect.core.task import Task
from prefect.errors import FlowError
from prefect.tasks.control_flow.case import added_since

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, ClassVar

    from prefect.core.flow import Flow
    from prefect.core.graph import Edge
    from prefect.core.state import State

__all__ = ["ResourceManager", "resource_manager"]


class ResourceSetupTask(Task):
    """Makes the resource: its result is what the manager's `setup` returns, and ends with the run."""

    checkpoint = False
    restarts: ClassVar[bool] = True

    def run(self, mgr: Any) -> Any:
        """Set it up."""
        return mgr.setup()


class ResourceCleanupTask(Task):
    """Ends the resource, whatever became of the tasks that needed it."""

    is_cleanup: ClassVar[bool] = True
    restarts: ClassVar[bool] = True
    checkpoint = False

    def run(self, mgr: Any, resource: Any) -> None:
        """Clean it up."""
        mgr.cleanup(resource)


def cleanup_if_set_up(upstream_states: Mapping[Edge, State]) -> bool:
    """Run if the resource was set up, whatever else happened."""
    for edge, state in upstream_states.items():
        if edge.key == "resource" and state.is_skipped():
            raise SKIP("the resource was not set up: that was skipped")
        if edge.key == "resource" and not state.is_successful():
            raise TRIGGERFAIL("the resource was not set up: that failed")
    return True


class ResourceContext:
    """A block of tasks that need a resource; `as` gives the task that has it."""

    def __init__(self, init: Task, setup: Task, cleanup: Task, flow: Flow) -> None:
        self.init_task = init
        self.setup_task = setup
        self.cleanup_task = cleanup
        self._flow = flow
        self._before: set[Task] = set()

    def __enter__(self) -> Task:
        self._before = set(self._flow.tasks)
        return self.setup_task

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        flow = self._flow
        added = added_since(flow, self._before)
        for task in added:
            upstream = flow.upstream_tasks(task)
            if not added.keys() & upstream and self.setup_task not in upstream:
                task.set_upstream(self.setup_task, flow=flow)
        last = [task for task in added if not added.keys() & flow.downstream_tasks(task)]
        self.cleanup_task.set_dependencies(flow, upstream_tasks=last)


class ResourceManager:
    """What `@resource_manager` makes of a class: call it for a block of tasks that need the resource.

    Args:
        resource_class: has `setup()`, which returns the resource, and `cleanup(resource)`.
        name: of the tasks; by default the class's.
        init_task_kwargs: arguments of the task that calls the class.
        setup_task_kwargs: of the task that sets the resource up.
        cleanup_task_kwargs: of the task that cleans it up.
    """

    def __init__(
        self,
        resource_class: Callable[..., Any],
        name: str | None = None,
        init_task_kwargs: Mapping[str, Any] | None = None,
        setup_task_kwargs: Mapping[str, Any] | None = None,
        cleanup_task_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.resource_class = resource_class
        self.name = name or getattr(resource_class, "__name__", "resource")
        self.init_task_kwargs = dict(init_task_kwargs or {})
        self.setup_task_kwargs = dict(setup_task_kwargs or {})
        self.cleanup_task_kwargs = dict(cleanup_task_kwargs or {})

    def __call__(self, *args: Any, flow: Flow | None = None, **kwargs: Any) -> ResourceContext:
        """Add the tasks that make and end a resource, and return the block of those between.

        Args:
            *args: arguments of the class: tasks, or plain values.
            flow: by default the one that is being built.
            **kwargs: arguments of the class, by name.

        Raises:
            FlowError: there is no flow.
        """
        flow = building.get() if flow is None else flow
        if flow is None:
            raise FlowError(f"{self.name}(...) is used within `with Flow(...):`, or with flow=...")
        name = self.name
        init = FunctionTask(
            self.resource_class, **{"name": name, "checkpoint": False, **self.init_task_kwargs}
        )
        setup = ResourceSetupTask(**{"name": f"{name}.setup", **self.setup_task_kwargs})
        cleanup = ResourceCleanupTask(
            **{
                "name": f"{name}.cleanup",
                "trigger": cleanup_if_set_up,
                "skip_on_upstream_skip": False,
                **self.cleanup_task_kwargs,
            }
        )
        init.bind(*args, flow=flow, **kwargs)
        setup.bind(init, flow=flow)
        cleanup.bind(init, setup, flow=flow)
        return ResourceContext(init, setup, cleanup, flow)


def resource_manager(
    resource_class: Callable[..., Any] | None = None, **kwargs: Any
) -> ResourceManager | Callable[[Callable[..., Any]], ResourceManager]:
    """Make a class a resource that tasks need: `@resource_manager`, or `@resource_manager(name=...)`.

    Args:
        resource_class: has `setup()`, which returns the resource, and `cleanup(resource)`.
        **kwargs: arguments of `ResourceManager`.
    """
    if resource_class is not None:
        return ResourceManager(resource_class, **kwargs)
    return lambda decorated: ResourceManager(decorated, **kwargs)

"""How a task becomes part of a flow: it is called, mapped, or connected with others."""

from __future__ import annotations

from prefect.core import check
from prefect.core.context import ambient_tags, building
from prefect.core.operators import Operators
from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, ClassVar, Self

    from prefect.core.call_signature import RunSignature
    from prefect.core.flow import Flow
    from prefect.core.task import Task


class Bindable(Operators):
    """The part of a task that adds it to flows, with what it needs and with what waits for it."""

    __slots__ = ()
    if TYPE_CHECKING:
        tags: set[str]
        _signature: ClassVar[RunSignature]

        def copy(self, **task_args: Any) -> Self:
            """Return a copy, with other constructor arguments where given."""

    def __call__(
        self,
        *args: Any,
        mapped: bool = False,
        task_args: Mapping[str, Any] | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add a copy of this task to the flow being built, with these arguments for `run`.

        Args:
            *args: arguments for `run`: tasks, whose results it will get, or plain values. Lists,
                tuples, sets and dicts may contain tasks.
            mapped: whether to run once for each item of the arguments; see `map`.
            task_args: constructor arguments that the copy has differently, `name` for example;
                `tags` are added to the task's own.
            upstream_tasks: tasks to wait for without using their results.
            flow: the flow; by default the one whose `with` block this is in.
            **kwargs: further arguments for `run`.

        Raises:
            FlowError: there is no flow, or the flow cannot have this task.
            TypeError: `run` does not take these arguments.
        """
        new = self.copy() if task_args is None else self.copy(**_task_args(task_args))
        return new.bind(*args, mapped=mapped, upstream_tasks=upstream_tasks, flow=flow, **kwargs)

    def bind(
        self,
        *args: Any,
        mapped: bool = False,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add this task itself, not a copy, to a flow, with what `run` is to get.

        Args:
            *args: arguments for `run`: tasks, or plain values.
            mapped: whether it runs once for each item of what is not `unmapped(...)`.
            upstream_tasks: tasks to wait for, without their results.
            flow: by default the one that is being built.
            **kwargs: arguments for `run`, by name.

        Raises:
            FlowError: there is no flow, or the flow cannot have this task.
            TypeError: `run` does not take these arguments.
        """
        flow = self._flow(flow)
        if ambient := ambient_tags():
            self.tags |= ambient
        arguments = self._signature.bind(args, kwargs, self)  # type: ignore[arg-type]  # it is a Task
        flow.set_dependencies(
            self,  # type: ignore[arg-type]  # it is a Task
            upstream_tasks=upstream_tasks,
            keyword_tasks=arguments,
            mapped=mapped,
        )
        return self

    def map(
        self,
        *args: Any,
        task_args: Mapping[str, Any] | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add a copy of this task that runs once for each item of its arguments.

        All arguments are mapped over, in step, except those given as `unmapped(...)`; they must
        be of one length.

        Args:
            *args: arguments for `run`: tasks, or plain values.
            task_args: arguments of the constructor that the copy is to have instead.
            upstream_tasks: tasks to wait for, without their results.
            flow: by default the one that is being built.
            **kwargs: arguments for `run`, by name.

        Raises:
            FlowError: there is no flow, or the flow cannot have this task.
            TypeError: `run` does not take these arguments.
        """
        new = self.copy() if task_args is None else self.copy(**_task_args(task_args))
        return new.bind(*args, mapped=True, upstream_tasks=upstream_tasks, flow=flow, **kwargs)

    def pipe(self, *args: Any, **kwargs: Any) -> Task:
        """Call another task with this one: `a.pipe(b, y=1)` is `b(a, y=1)`.

        Args:
            *args: the other task, and further arguments of it.
            **kwargs: arguments of it, by name.
        """
        then, *others = args
        called: Task = then(self, *others, **kwargs)
        return called

    def set_upstream(
        self, task: Any, flow: Flow | None = None, key: str | None = None, mapped: bool = False
    ) -> Self:
        """Wait for another task; with a key, get its result as that argument; return this one.

        Args:
            task: the task to wait for, or a plain value, which needs a key.
            flow: by default the one that is being built.
            key: the argument of `run` that takes the result.
            mapped: whether the waiting task runs once for each item of it.
        """
        self.set_dependencies(
            flow,
            upstream_tasks=[task] if key is None else None,
            keyword_tasks=None if key is None else {check.text("key", key): task},
            mapped=mapped,
        )
        return self

    def set_downstream(
        self, task: Task, flow: Flow | None = None, key: str | None = None, mapped: bool = False
    ) -> Self:
        """Make another task wait for this one; with a key, give it the result; return this one.

        Args:
            task: the task that waits.
            flow: by default the one that is being built.
            key: the argument of `run` that takes the result.
            mapped: whether the waiting task runs once for each item of it.
        """
        if not isinstance(task, Bindable):
            raise check.wrong("task", "a Task", task)
        task.set_upstream(self, flow=flow, key=key, mapped=mapped)
        return self

    def set_dependencies(
        self,
        flow: Flow | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Task] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        mapped: bool = False,
        validate: bool | None = None,
    ) -> Self:
        """Add this task to a flow with its dependencies, and return it.

        Args:
            flow: by default the one that is being built.
            upstream_tasks: tasks to wait for.
            downstream_tasks: tasks that wait for it.
            keyword_tasks: arguments for `run`: tasks or plain values.
            mapped: whether the task runs once for each item of what is not `unmapped(...)`.
            validate: whether to look for cycles now, and not only when the flow is used.

        Raises:
            FlowError: there is no flow, or a dependency contradicts another.
            TypeError: `run` has no such argument, or something is not a task.
        """
        self._flow(flow).set_dependencies(
            self,  # type: ignore[arg-type]  # likewise
            upstream_tasks=upstream_tasks,
            downstream_tasks=downstream_tasks,
            keyword_tasks=keyword_tasks,
            mapped=mapped,
            validate=validate,
        )
        return self

    def _flow(self, flow: Flow | None) -> Flow:
        """Return this flow, or the one being built."""
        if flow is None:
            flow = building.get()
        if flow is None:
            raise FlowError(
                f"Task {self.name!r} was used outside a flow: use it within `with Flow(...):`, "
                "pass flow=..., or call its .run(...) to run it now"
            )
        if not hasattr(flow, "set_dependencies"):
            raise TypeError(f"flow= takes a Flow, not {flow!r}")
        return flow


def _task_args(given: Any) -> Mapping[str, Any]:
    return check.mapping("task_args", "arguments of Task", given)

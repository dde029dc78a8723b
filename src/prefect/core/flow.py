"""`Flow`: tasks and what connects them."""

from __future__ import annotations

from itertools import pairwise

from prefect import core
from prefect.core import check
from prefect.core.call_signature import listed
from prefect.core.context import building
from prefect.core.graph import Edge, Graph
from prefect.core.inputs import ANNOTATIONS, Constant, annotated, as_task, in_order, unmappable
from prefect.core.parameter import Parameter
from prefect.core.parameter_check import as_given
from prefect.core.queries import FlowQueries
from prefect.core.serialization import executor_text, serialize_flow
from prefect.core.task import Task
from prefect.errors import FlowError
from prefect.unsupported import RefusedAttribute, RefusedMethod, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import Token
    from datetime import timedelta
    from os import PathLike
    from typing import Any, Protocol, Self, TypeAlias

    from prefect.core.state import State

    FlowHandler: TypeAlias = Callable[["Flow", State, State], State | None]

    class Environment(Protocol):
        """What a flow needs of the environment that it is to run in."""

        def serialize(self) -> dict[str, Any]:
            """Describe it in plain JSON values."""


class Flow(FlowQueries):
    """A directed acyclic graph of tasks, built within `with Flow("name") as flow:`.

    Args:
        name: must not be empty.
        environment: where the flow is to run; see `prefect.environments`.
        tasks: tasks to start with.
        edges: edges to start with.
        reference_tasks: the tasks whose states decide the flow's; by default those that nothing
            depends on.
        state_handlers: called as `handler(flow, old_state, new_state)` at each change of the
            flow's state; may return another state to have instead.
        on_failure: called as `on_failure(flow, state)` if the flow fails.
        validate: whether to validate the flow now, and not only when it is used.
        executor: where its tasks run unless a run says otherwise: an executor, or its text form, such
            as "threads:8". It travels with the flow, as text.
        limits: how many of its tasks that have a tag may run at a time, such as {"db": 2}, unless a run says
            otherwise.
        schedule: None; anything else is an error that says what to use instead.
        storage: likewise.
        run_config: likewise.
        result: accepted with a warning: no result is stored.

    Raises:
        FlowError: the flow is wrong as it is written.
        TypeError, ValueError: an argument is of the wrong type, or makes no sense.
        UnsupportedError: it has a schedule, storage or run_config, which classic Prefect's server needed.
    """

    executor: Any = None
    """Also that of flows which an earlier release packaged."""
    limits: dict[str, int] | None = None

    schedule, storage, run_config = RefusedAttribute(), RefusedAttribute(), RefusedAttribute()
    register, deploy, run_agent = RefusedMethod(), RefusedMethod(), RefusedMethod()
    save, load, diagnostics = RefusedMethod(), RefusedMethod(), RefusedMethod()
    result: Any = None

    def __init__(
        self,
        name: str,
        environment: Environment | None = None,
        tasks: Iterable[Task] | None = None,
        edges: Iterable[Edge] | None = None,
        reference_tasks: Iterable[Task] | None = None,
        state_handlers: Iterable[FlowHandler] | None = None,
        on_failure: Callable[[Flow, State], Any] | None = None,
        validate: bool | None = None,
        *,
        executor: Any = None,
        schedule: Any = None,
        storage: Any = None,
        run_config: Any = None,
        limits: Mapping[str, int] | None = None,
        result: Any = None,
    ) -> None:
        self.schedule, self.storage, self.run_config = schedule, storage, run_config
        self.name = check.text("a flow's name", name)
        if result is not None:
            from prefect.core.classic_task import keep_result  # noqa: PLC0415  # seldom needed

            keep_result(self, result)
        if environment is not None and (
            isinstance(environment, type) or not hasattr(environment, "serialize")
        ):
            raise check.wrong("A flow's environment", "an Environment", environment)
        self.environment = environment
        self.executor = check.executor(executor)
        if limits is not None:  # else flows are pickled as ever
            self.limits = check.limits(limits)
        self.state_handlers: list[FlowHandler] = check.handlers(state_handlers, on_failure)
        self.constants: dict[Task, dict[str, Any]] = {}
        """The arguments of each task that are plain values."""
        self._graph = Graph.of(in_order(_tasks("tasks", tasks), None), ())
        self._reference_tasks: list[Task] = []
        self._tokens: list[Token[Flow | None]] = []
        for edge in () if edges is None else check.listed("edges", "edges", edges):
            if not isinstance(edge, tuple | list) or len(edge) not in {2, 3, 4}:
                raise check.wrong("Each of edges", "an Edge", edge)
            self.add_edge(*edge)
        self.set_reference_tasks(() if reference_tasks is None else reference_tasks)
        if validate is not None and check.flag("validate", validate):
            self.validate()

    def __repr__(self) -> str:
        return f"<Flow: {self.name}>"

    def __enter__(self) -> Self:
        self._tokens.append(building.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        building.reset(self._tokens.pop())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokens": [], "executor": executor_text(self) or self.executor}

    def set_reference_tasks(self, tasks: Iterable[Task]) -> None:
        """Choose the tasks whose states decide the flow's; with none, the terminal tasks.

        Raises:
            FlowError: one is not in the flow.
            TypeError: it is no list of tasks.
        """
        given = in_order(_tasks("reference_tasks", tasks), self)
        self._reference_tasks = [self._member(task) for task in given]

    def add_task(self, task: Task) -> Task:
        """Add a task, unless it is there, and return it.

        Raises:
            DuplicateNameError: a parameter of the same name, or a task of the same slug, is there.
            TypeError: it is not a task.
        """
        self._graph.add_task(task)
        return task

    def add_edge(
        self,
        upstream_task: Task,
        downstream_task: Task,
        key: str | None = None,
        mapped: bool = False,
        validate: bool | None = None,
    ) -> Edge:
        """Add an edge, and its tasks if they are not there, and return it.

        Args:
            upstream_task: the task that comes first.
            downstream_task: the task that waits.
            key: the argument of the downstream task that takes the upstream's result.
            mapped: whether the downstream task runs once for each item of that result.
            validate: whether to look for cycles now, and not only when the flow is used.

        Raises:
            FlowError: the edge contradicts another, or leads to a parameter.
            TypeError: `run` of the downstream task has no such argument.
        """
        edge = Edge(upstream_task, downstream_task, key, mapped)
        if isinstance(downstream_task, Parameter):
            raise FlowError(f"Parameter {downstream_task.name!r} cannot depend on a task")
        if key is not None:
            downstream_task._signature.check(key, f"Task {downstream_task.name!r}")  # noqa: SLF001
            if key in self.constants.get(downstream_task, ()):
                raise FlowError(f"Argument {key!r} of task {downstream_task.name!r} is given twice")
        self._graph.add_edge(edge)
        if validate is not None and check.flag("validate", validate):
            self._graph.order()
        return edge

    def chain(self, *tasks: Task, validate: bool | None = None) -> list[Edge]:
        """Make each task wait for the one before it, and return the edges.

        Args:
            *tasks: in the order in which they are to run.
            validate: whether to look for cycles now, and not only when the flow is used.
        """
        return [self.add_edge(a, b, validate=validate) for a, b in pairwise(tasks)]

    def set_dependencies(
        self,
        task: Task,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Task] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        mapped: bool = False,
    ) -> None:
        """Add a task with its dependencies.

        Args:
            task: the task.
            upstream_tasks: tasks to wait for.
            downstream_tasks: tasks that wait for it.
            keyword_tasks: arguments for `run`: tasks or plain values.
            mapped: whether the task runs once for each item of what is not `unmapped(...)`.

        Raises:
            FlowError: a dependency contradicts another, or leads to a parameter, or a value that is
                mapped over has no items.
            TypeError: `run` has no such argument, or something is not a task.
        """
        check.instance("task", task, Task)
        if mapped is not False:
            check.flag("mapped", mapped)
        upstream_tasks = _tasks("upstream_tasks", upstream_tasks)
        downstream_tasks = _tasks("downstream_tasks", downstream_tasks)
        if keyword_tasks is not None and type(keyword_tasks) is not dict:
            keyword_tasks = check.mapping("keyword_tasks", "arguments", keyword_tasks)
        for key, value in (keyword_tasks or {}).items():
            self._set_input(task, key, value, mapped)
        for value in in_order(upstream_tasks, self):
            plain, each = value, mapped
            if type(value) in ANNOTATIONS:
                plain, each = annotated(value, mapped, self)
            upstream = as_task(plain, self)
            if upstream is None:
                raise TypeError(f"Task {task.name!r} cannot wait for {value!r}: it is not a task")
            self.add_edge(upstream, task, mapped=each)
        self.add_task(task)
        if mapped and not any(edge.mapped for edge in self.edges_to(task)):
            raise FlowError(f"Task {task.name!r} has nothing to map over: no argument is mapped")
        for downstream in in_order(downstream_tasks, self):
            self.add_edge(task, downstream)

    def _set_input(self, task: Task, key: str, value: Any, mapped: bool) -> None:
        if type(value) in ANNOTATIONS:
            value, mapped = annotated(value, mapped, self)
        upstream = as_task(value, self)
        if upstream is None and mapped:
            if reason := unmappable(value):
                raise FlowError(f"Task {task.name!r} cannot map over {key!r}: {reason}")
            upstream = Constant(value)
        if upstream is not None:
            self.add_edge(upstream, task, key=key, mapped=mapped)
            return
        task._signature.check(key, f"Task {task.name!r}")  # noqa: SLF001  # of this package
        if self._graph.has_input(task, key):
            raise FlowError(f"Argument {key!r} of task {task.name!r} is given twice")
        self.constants.setdefault(task, {})[key] = value

    def map_added(self, tasks: list[Task], edges: list[Edge], sources: list[Task]) -> None:
        """Map tasks that were just added over some sources, and over each other; see `apply_map`."""
        each = {*tasks, *sources}.difference(task for task in tasks if isinstance(task, Parameter))
        changed = {
            edge: Edge(edge[0], edge[1], edge[2], True)
            for edge in edges
            if edge[0] in each and not (edge[0] in tasks and isinstance(edge[0], Constant))
        }
        self._graph = Graph.of(self.tasks, [changed.get(edge, edge) for edge in self.edges])
        for task in tasks:
            if isinstance(task, Constant | Parameter) or any(e.mapped for e in self.edges_to(task)):
                continue
            for source in sources:
                self.add_edge(source, task, mapped=True)

    def update(self, flow: Flow) -> None:
        """Add the tasks and edges of another flow.

        Raises:
            DuplicateNameError: both have a parameter of one name, or a task of one slug.
        """
        check.instance("flow", flow, Flow)
        for task in flow.tasks:
            self.add_task(task)
        for edge in flow.edges:
            self._graph.add_edge(edge)
        for task, constants in flow.constants.items():
            self.constants.setdefault(task, {}).update(constants)

    def replace(self, old: Task, new: Task) -> None:
        """Put a task in the place of another, with the same edges and arguments.

        Raises:
            FlowError: the old one is not in the flow.
            TypeError: the new one's `run` does not take these arguments.
        """
        self._member(old)
        check.instance("new", new, Task)
        keys = [edge.key for edge in self.edges_to(old) if edge.key is not None]
        for key in [*keys, *self.constants.get(old, ())]:
            new._signature.check(key, f"Task {new.name!r}")  # noqa: SLF001  # of this package
        self._graph = self._graph.replaced(old, new)
        if old in self.constants:
            self.constants[new] = self.constants.pop(old)
        self._reference_tasks = [new if t is old else t for t in self._reference_tasks]

    def copy(self) -> Self:
        """Return a flow with the same tasks and edges, to which others can be added."""
        new = object.__new__(type(self))
        new.__dict__.update(
            self.__dict__,
            state_handlers=list(self.state_handlers),
            constants={task: dict(values) for task, values in self.constants.items()},
            _graph=Graph.of(self.tasks, self.edges),
            _reference_tasks=list(self._reference_tasks),
            _tokens=[],
        )
        return new

    def validate(self) -> None:
        """Check what cannot be checked while the flow is being built.

        Raises:
            CycleError: tasks depend on each other; the message names them.
            FlowError: a task misses an argument, or a parameter waits for a task.
        """
        self._graph.order()
        constants = self.constants
        for task, edges in self._graph.incoming.items():
            if edges and isinstance(task, Parameter):
                raise FlowError(f"Parameter {task.name!r} cannot depend on a task")
            signature = task._signature  # noqa: SLF001  # of this package
            if not signature.required:
                continue
            given = [edge[2] for edge in edges]
            if task in constants:
                given.extend(constants[task])
            missing = signature.missing(given)
            if missing:
                raise FlowError(f"Task {task.name!r} misses its argument{listed(missing)}")

    def serialize(self) -> dict[str, Any]:
        """Describe the flow in plain JSON values, without the values of constants.

        Equal flows give equal descriptions in any process.

        Raises:
            FlowError: the flow is not valid.
        """
        self.validate()
        return serialize_flow(self)

    def visualize(
        self,
        filename: str | PathLike[str] | None = None,
        format: str | None = None,  # noqa: A002
    ) -> str:
        """Draw the flow.

        Args:
            filename: a file to write: .txt, .mmd, .md, .dot, .gv; by Graphviz .svg, .png, .pdf.
            format: "text" (the default), "mermaid" or "dot"; the form of what is returned.

        Raises:
            FlowError: the flow is not valid.
            RenderError: the file cannot be made here.
            ValueError: an unknown format or suffix.
        """
        from prefect.core import drawing  # noqa: PLC0415  # seldom needed

        form = "text" if format is None else check.text("format", format)
        serialized = self.serialize()
        if filename is not None:
            drawing.render(serialized, check.path("filename", filename))
        return drawing.draw(serialized, form)

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        executor: Any = None,
        *,
        on_state: Callable[[Any], None] | None = None,
        context: Mapping[str, Any] | None = None,
        results: str = "reference",
        timeout: timedelta | float | None = None,
        limits: Mapping[str, int] | None = None,
        run_on_schedule: bool | None = None,
        **kwargs: Any,
    ) -> State:
        """Run the flow here and now.

        Args:
            parameters: values by name.
            executor: where tasks run: one of `prefect.engine.executors`, or its text form, such as
                "threads:8". By default the flow's own, and without one in this thread.
            on_state: called with a `prefect.engine.TaskEvent` at each change of a task's state,
                in this thread.
            context: more values for `prefect.context`, of which `today`, `date` and the like stand
                instead of this day's, and `parameters` for what is not given as one.
            run_on_schedule: False or None, as flows have no schedules.
            **kwargs: more parameters.

        Returns:
            The flow's final state; its `result` has the state of each task.

        Raises:
            FlowError: the flow is not valid.
            ParameterError: a required parameter is missing, or one is unknown or of another type.
            TypeError: the executor is not one, or another argument is of the wrong type.
            ValueError: the executor's text form is none.
            ExecutorError: the executor cannot start.
        """
        if core.runner is None:
            raise RuntimeError("Flows can run after `import prefect`")
        if self._tokens:
            raise FlowError(
                f"Flow {self.name!r} is still being built: call flow.run() after its `with` block"
            )
        if run_on_schedule:
            refuse("prefect.Flow.schedule")
        given = dict(as_given(parameters))
        if twice := kwargs.keys() & given.keys():
            raise TypeError(f"Parameters are given twice: {', '.join(sorted(twice))}")
        if on_state is not None:
            check.function("on_state", on_state)
        context = {} if context is None else check.mapping("context", "names and values", context)
        if executor is None:
            executor = self.executor
        for name, is_given in (
            ("results", results != "reference"),
            ("timeout", timeout is not None),
            ("limits", limits is not None),
        ):
            if is_given:
                self._refuse_parameter(name)
        limits = self.limits if limits is None else check.limits(limits)
        if results not in {"reference", "all"}:
            raise ValueError(
                f'results= is "reference" or "all", not {results!r}; a parameter of that name goes into '
                "parameters={...}"
            )
        seconds = check.timeout(timeout)
        return core.runner(
            self, {**given, **kwargs}, executor, on_state, context, results, seconds, limits
        )

    def _refuse_parameter(self, name: str) -> None:
        """Refuse an option of a run that may be meant for a parameter."""
        if any(each.name == name for each in self.parameters()):
            raise TypeError(
                f"{name}= is of the run; flow {self.name!r} has a parameter of that name, which goes into "
                f'parameters={{"{name}": ...}}'
            )

    async def arun(
        self, parameters: Mapping[str, Any] | None = None, executor: Any = None, **kwargs: Any
    ) -> State:
        """Run the flow as `run` does, while others use this thread's event loop.

        It runs in another thread, and its async tasks in a third. If what awaits it is cancelled, the run
        is, too, as by Ctrl-C.

        Args:
            parameters: as of `run`.
            executor: as of `run`.
            **kwargs: as of `run`.

        Returns:
            The flow's final state.
        """
        if core.async_runner is None:
            raise RuntimeError("Flows can run after `import prefect`")
        return await core.async_runner(lambda: self.run(parameters, executor, **kwargs))


def _tasks(what: str, given: Iterable[Any] | None) -> Iterable[Any]:
    return () if given is None else check.listed(what, "tasks", given)

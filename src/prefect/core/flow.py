"""`Flow`: tasks and what connects them."""

from __future__ import annotations

from prefect import core
from prefect.core import check
from prefect.core.building import listed_tasks
from prefect.core.call_signature import listed
from prefect.core.context import building
from prefect.core.flow_running import FlowRunning
from prefect.core.graph import Edge, Graph
from prefect.core.inputs import in_order
from prefect.core.parameter import Parameter
from prefect.core.serialization import executor_text, serialize_flow
from prefect.core.task import Task
from prefect.errors import FlowError
from prefect.unsupported import RefusedAttribute, RefusedMethod, refuse, refusing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import Token
    from os import PathLike
    from typing import Any, Protocol, Self, TypeAlias

    from prefect.core.state import State

    FlowHandler: TypeAlias = Callable[["Flow", State, State], State | None]
    TerminalHandler: TypeAlias = Callable[["Flow", State, set[State]], State | None]

    class Schedule(Protocol):
        """What a flow needs of the schedule that it has."""

        def next(self, n: int, after: Any = None, return_events: bool = False) -> list[Any]:
            """Return the next n times, or events."""

        def serialize(self) -> dict[str, Any]:
            """Describe it in plain JSON values."""

    class Environment(Protocol):
        """What a flow needs of the environment that it is to run in."""

        def serialize(self) -> dict[str, Any]:
            """Describe it in plain JSON values."""


class Flow(FlowRunning):
    """A directed acyclic graph of tasks, built within `with Flow("name") as flow:`.

    Args:
        name: must not be empty.
        environment: where the flow is to run; see `prefect.environments`. A schedule in this place is its schedule.
        tasks: tasks to start with.
        edges: edges to start with.
        reference_tasks: the tasks whose states decide the flow's; by default those that nothing
            depends on.
        state_handlers: called as `handler(flow, old_state, new_state)` at each change of the
            flow's state; may return another state to have instead.
        on_failure: called as `on_failure(flow, state)` if the flow fails.
        on_success: called as `on_success(flow, state)` if it succeeds.
        validate: whether to validate the flow now, and not only when it is used.
        executor: where its tasks run unless a run says otherwise: an executor, or its text form, such
            as "threads:8". It travels with the flow, as text.
        limits: how many of its tasks that have a tag may run at a time, such as {"db": 2}, unless a run says
            otherwise.
        schedule: when `run` runs it, again and again: one of `prefect.schedules`. It travels with the flow.
        terminal_state_handler: called as `handler(flow, state, states)` with the state that a run comes to and those of
            the reference tasks; may return another state to have instead.
        storage: None; anything else is an error that says what to use instead.
        run_config: likewise.
        result: where the results of those tasks are stored that do not say so themselves, as of a task: a directory, a
            URL, or one of classic Prefect's objects. As there, only a run with a store, or a task that is cached, stores any.

    Raises:
        FlowError: the flow is wrong as it is written.
        TypeError, ValueError: an argument is of the wrong type, or makes no sense.
        UnsupportedError: it has storage or a run_config, which classic Prefect's server needed.
    """

    executor: Any = None
    """Also that of flows which an earlier release packaged."""
    limits: dict[str, int] | None = None
    terminal_state_handler: TerminalHandler | None = None

    storage, run_config = RefusedAttribute(), RefusedAttribute()
    register, deploy, run_agent = RefusedMethod(), RefusedMethod(), RefusedMethod()
    result: Any = None
    stored_in: str | None = None
    """Where `result` says that results are stored: a directory or a URL; None leaves that to a run."""

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
        on_success: Callable[[Flow, State], Any] | None = None,
        executor: Any = None,
        schedule: Any = None,
        storage: Any = None,
        run_config: Any = None,
        limits: Mapping[str, int] | None = None,
        result: Any = None,
        terminal_state_handler: TerminalHandler | None = None,
    ) -> None:
        if schedule is None and hasattr(environment, "next"):  # where classic Prefect had it
            environment, schedule = None, environment
        self.storage, self.run_config = storage, run_config
        if schedule is not None:  # else flows are pickled as ever
            self.schedule = schedule
        self.name = check.text("a flow's name", name)
        if result is not None:
            from prefect.core.classic_task import keep_result  # noqa: PLC0415  # seldom needed

            keep_result(self, result)
        if environment is not None and (
            isinstance(environment, type | Task) or not hasattr(environment, "serialize")
        ):
            raise check.wrong("A flow's environment", "an Environment", environment)
        self.environment = environment
        self.executor = check.executor(executor)
        if terminal_state_handler is not None:
            self.terminal_state_handler = check.function(
                "terminal_state_handler", terminal_state_handler
            )
        if limits is not None:  # else flows are pickled as ever
            self.limits = check.limits(limits)
        self.state_handlers: list[FlowHandler] = check.handlers(
            state_handlers, on_failure, on_success
        )
        self.constants: dict[Task, dict[str, Any]] = {}
        """The arguments of each task that are plain values."""
        self._graph = Graph.of(in_order(listed_tasks("tasks", tasks), None), ())
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

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the drawing."""
        from prefect.core.notebooks import flow_html  # noqa: PLC0415  # for notebooks alone

        return flow_html(self)

    def __enter__(self) -> Self:
        self._tokens.append(building.set(self))
        return self

    def __exit__(self, *_: object) -> None:
        building.reset(self._tokens.pop())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tokens": [], "executor": executor_text(self) or self.executor}

    @property
    def schedule(self) -> Schedule | None:
        """When `run` runs it; None for once."""
        return self.__dict__.get("schedule")

    @schedule.setter
    def schedule(self, schedule: Schedule | None) -> None:
        if schedule is not None and not (
            hasattr(schedule, "next") and hasattr(schedule, "serialize")
        ):
            raise check.wrong("A flow's schedule", "one of prefect.schedules", schedule)
        self.__dict__["schedule"] = schedule

    def set_reference_tasks(self, tasks: Iterable[Task]) -> None:
        """Choose the tasks whose states decide the flow's; with none, the terminal tasks.

        Raises:
            FlowError: one is not in the flow.
            TypeError: it is no list of tasks.
        """
        given = in_order(listed_tasks("reference_tasks", tasks), self)
        self._reference_tasks = [self._member(task) for task in given]

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

    def serialize(self, build: bool = False) -> dict[str, Any]:
        """Describe the flow in plain JSON values, without the values of constants.

        Equal flows give equal descriptions in any process.

        Args:
            build: False; `prefect build` packages a flow.

        Raises:
            FlowError: the flow is not valid.
            UnsupportedError: it is to be built, too.
        """
        if check.flag("build", build):
            refuse("prefect.Flow.storage")
        self.validate()
        return serialize_flow(self)

    def save(self, fpath: str | PathLike[str] | None = None) -> str:
        """Seal the flow into a file, as `prefect build -o` does, and return its path.

        Args:
            fpath: the file; by default one of the flow's name here, with the suffix .flow.

        Raises:
            SecretError: neither has the flow a PickleEnvironment, nor PREFECT_ENCRYPTION_KEY a key.
        """
        if core.saver is None:
            raise RuntimeError("Flows can be saved after `import prefect`")
        name = "".join(c if c.isalnum() else "-" for c in self.name.lower())
        return core.saver(self, f"{name}.flow" if fpath is None else check.path("fpath", fpath))

    @classmethod
    def load(cls, fpath: str | PathLike[str]) -> Flow:
        """Open what `save` wrote, and return the flow. Whoever has the key could write code that runs then.

        Args:
            fpath: the file.

        Raises:
            SecretError: PREFECT_ENCRYPTION_KEY has no key.
            ArtifactError: it cannot be opened by that key, or not be loaded here.
        """
        if core.loader is None:
            raise RuntimeError("Flows can be loaded after `import prefect`")
        return core.loader(check.path("fpath", fpath))

    def diagnostics(self, include_secret_names: bool = False) -> str:
        """Return what somebody who is asked for help needs to know: versions, settings and tasks, as JSON.

        Args:
            include_secret_names: whether to name secrets that have a value; no value is told.
        """
        if core.diagnoser is None:
            raise RuntimeError("Flows tell of what is around them after `import prefect`")
        return core.diagnoser(self, check.flag("include_secret_names", include_secret_names))

    def visualize(
        self,
        filename: str | PathLike[str] | None = None,
        format: str | None = None,  # noqa: A002
        *,
        flow_state: State | None = None,
    ) -> str:
        """Draw the flow.

        Args:
            filename: a file to write: .svg, .txt, .mmd, .md, .dot, .gv; by Graphviz .png, .pdf.
            format: "text" (the default), "mermaid" or "dot"; the form of what is returned.
            flow_state: what a run has come to: each task is drawn with its state, and in its colour. It may stand
                first, and the file second, as in classic Prefect.

        Raises:
            FlowError: the flow is not valid, or the state is no flow's, or another one's.
            RenderError: the file cannot be made here.
            TypeError: an argument has the wrong type.
            ValueError: an unknown format or suffix.
        """
        from prefect.core import drawing  # noqa: PLC0415  # seldom needed

        if hasattr(filename, "is_finished"):
            flow_state, filename, format = filename, format, None  # type: ignore[assignment]  # noqa: A001
        form = "text" if format is None else check.text("format", format)
        serialized = self.serialize()
        counts = None
        if flow_state is not None:
            from prefect.core.state import State  # noqa: PLC0415  # seldom needed
            from prefect.core.state_counts import counts_of_tasks  # noqa: PLC0415  # likewise

            check.instance("flow_state", flow_state, State)
            counts = counts_of_tasks(flow_state, self._graph.slugs())
        if filename is not None:
            drawing.render(serialized, check.path("filename", filename), counts)
        return drawing.draw(serialized, form, counts)


__getattr__ = refusing(__name__)

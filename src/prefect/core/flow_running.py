"""How a flow is run from where it is made: what it is asked for, checked."""

from __future__ import annotations

from os import fspath

from prefect import core
from prefect.core import check
from prefect.core.building import FlowBuilding
from prefect.core.kept import LAST, Kept, asked
from prefect.core.parameter_check import as_given
from prefect.errors import FlowError
from prefect.frozen import replace
from prefect.unsupported import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from os import PathLike
    from typing import Any

    from prefect.core.state import State
    from prefect.core.task import Task

_RUNNERS = frozenset({"return_tasks", "runner_cls", "task_contexts"})
"""What classic Prefect's `run` passed on to what runs a flow."""


class FlowRunning(FlowBuilding):
    """The part of a flow that runs it."""

    executor: Any
    limits: dict[str, int] | None
    stored_in: str | None
    _tokens: list[Any]
    if TYPE_CHECKING:

        @property
        def schedule(self) -> Any:
            """When `run` runs it."""

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
        store: str | PathLike[str] | None = None,
        resume: str | bool | None = None,
        task_states: Mapping[Task, State] | None = None,
        progress: bool | None = None,
        telemetry: bool | None = None,
        **kwargs: Any,
    ) -> State:
        """Run the flow here and now.

        Args:
            parameters: values by name.
            executor: where tasks run (True or False in this place is `run_on_schedule`): one of `prefect.engine.executors`, or its text form, such as
                "threads:8". By default the flow's own, and without one in this thread.
            on_state: called with a `prefect.engine.TaskEvent` at each change of a task's state,
                in this thread.
            context: more values for `prefect.context`, of which `today`, `date` and the like stand
                instead of this day's, and `parameters` for what is not given as one.
            results: whose values the final state has: "reference", of the reference tasks and what is small, or "all".
            timeout: seconds, or a timedelta, from this call on after which the run is cancelled.
            limits: how many tasks with a tag may run at a time, by tag; beside those of the flow.
            run_on_schedule: whether it waits for the next time of its schedule, runs, and does so again until
                there is none; without a schedule it runs once all the same. By default what
                `prefect.config.flows.run_on_schedule` says, which is True.
            store: a directory, or a URL such as "s3://bucket/runs", where the results of tasks are stored as
                they come, and a record of the run is written. By default nothing is, but for the results of
                tasks with `cache=True` and the like, which go to `~/.local/share/prefect`.
            resume: a run in the store to go on with, by its name, or True for the last one of this flow: what
                succeeded in it, and is the same now in code and inputs, is not run again. Its parameters
                and its date hold unless others are given.
            task_states: states of tasks with which the run begins: one that is finished is not run, and one that is
                to be tried again goes on counting. Of a mapped task, a Mapped state has those of its children.
            progress: whether to show how far the run is, until it ends: below what is written to a terminal, in the
                cell of a notebook, or else as lines on standard error. By default nothing is shown.
            telemetry: whether to tell OpenTelemetry of the run, as its variables (OTEL_...) or the program's providers
                say: a span of the run and of each try at a task, and metrics. It needs `opentelemetry-sdk`.
            **kwargs: more parameters; those that the schedule's clocks have come before them.

        Returns:
            The flow's final state; its `result` has the state of each task. On a schedule, that of the last run.

        Raises:
            FlowError: the flow is not valid, its schedule has no more times, or there is a state of a task that it
                has not.
            ParameterError: a required parameter is missing, or one is unknown or of another type.
            TypeError: the executor is not one, or another argument is of the wrong type.
            ValueError: the executor's text form is none.
            ExecutorError: the executor cannot start.
            StoreError: the store cannot be used.
            RecordError: the store has no such run to go on with.
            TelemetryError: OpenTelemetry is not installed, or its variables name what is not.
            RenderError: progress cannot be shown, as within a task, or while that of another run is.
        """
        if (runner := core.runner) is None:
            raise RuntimeError("Flows can run after `import prefect`")
        if isinstance(executor, bool):  # where classic Prefect had this
            executor, run_on_schedule = None, executor
        self._refuse_runners(kwargs)
        if self._tokens:
            raise FlowError(
                f"Flow {self.name!r} is still being built: call flow.run() after its `with` block"
            )
        kept = self._kept(store, resume)
        kept |= self._watched(progress=progress, telemetry=telemetry)
        given = dict(as_given(parameters))
        if twice := kwargs.keys() & given.keys():
            raise TypeError(f"Parameters are given twice: {', '.join(sorted(twice))}")
        if on_state is not None:
            check.function("on_state", on_state)
        context = {} if context is None else check.named("context", "names and values", context)
        if executor is None:
            executor = self.executor
        self._refuse_parameters(
            results=results != "reference", timeout=timeout is not None, limits=limits is not None
        )
        limits = self.limits if limits is None else check.limits(limits)
        if results not in {"reference", "all"}:
            raise ValueError(
                f'results= is "reference" or "all", not {results!r}; a parameter of that name goes into '
                "parameters={...}"
            )
        seconds = check.timeout(timeout)
        given |= kwargs
        states = self._states(task_states)

        def once(given: Mapping[str, Any], context: Mapping[str, Any]) -> State:
            return runner(
                self, given, executor, on_state, context, results, seconds, limits, states, **kept
            )

        if self._keeps_time(run_on_schedule) and core.scheduled_runner is not None:
            return core.scheduled_runner(self, once, given, context)
        return once(given, context)

    def _keeps_time(self, asked: bool | None) -> bool:
        """Tell whether a run waits for the times of the schedule."""
        if asked is not None:
            check.flag("run_on_schedule", asked)
        if self.schedule is None:
            return False
        if asked is not None:
            return asked
        from prefect.configuration import config  # noqa: PLC0415  # for schedules alone

        return bool(config.flows.run_on_schedule)

    def _kept(self, store: Any, resume: Any) -> dict[str, Any]:
        """Return what a run that keeps something is told of it; nothing for one that does not."""
        self._refuse_parameters(store=store is not None, resume=resume is not None)
        kept = asked.get() or Kept()
        if store is not None:
            check.path("store", store)
        check.resume(resume)
        if resume:
            kept = replace(kept, resume=LAST if resume is True else resume)
        if store is not None:
            kept = replace(kept, store=fspath(store))
        if (
            kept.store is None
            and not kept.resume
            and self.stored_in is None
            and not any(t.caches or t.stored_in for t in self._graph.incoming)
        ):
            return {}
        return {"kept": kept}

    def _states(self, given: Any) -> dict[Task, State] | None:
        """Return the states with which a run is to begin, if there are some."""
        if given is None:
            return None
        self._refuse_parameters(task_states=True)
        from prefect.core.state import Finished, Pending, State  # noqa: PLC0415  # seldom needed

        states: dict[Any, State] = dict(check.mapping("task_states", "states of tasks", given))
        for task, state in states.items():
            check.instance("Each of task_states", state, State)
            name = self._member(task).name
            if not isinstance(state, Pending | Finished):
                raise FlowError(
                    f"Task {name!r} cannot begin as {type(state).__name__}; give a state that is pending or "
                    "finished, or none"
                )
        return states

    def _watched(self, **options: bool | None) -> dict[str, bool]:
        """Return by what a run is to be watched; nothing unless it is asked for."""
        self._refuse_parameters(**{name: given is not None for name, given in options.items()})
        return {
            name: True
            for name, given in options.items()
            if given is not None and check.flag(name, given)
        }

    def _refuse_parameters(self, **options: bool) -> None:
        """Refuse options of a run that may be meant for parameters: those that are given."""
        for name in (name for name, is_given in options.items() if is_given):
            if any(each.name == name for each in self.parameters()):
                raise TypeError(
                    f"{name}= is of the run; flow {self.name!r} has a parameter of that name, which goes into "
                    f'parameters={{"{name}": ...}}'
                )

    def _refuse_runners(self, given: Mapping[str, Any]) -> None:
        """Refuse what classic Prefect's runners took, unless they are parameters."""
        for name in sorted(_RUNNERS & given.keys()):
            if all(each.name != name for each in self.parameters()):
                refuse(f"prefect.Flow.run.{name}")

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

"""Runs a flow: what is around the loop, from its parameters to its final state."""

from __future__ import annotations

import time

from prefect.core import check
from prefect.core.context import building, current, dates, ids_of_a_run, values
from prefect.core.parameter_check import check_parameters, expected_by
from prefect.core.state import Pending, Running, now
from prefect.engine import logs
from prefect.engine.collection import collect_what_stayed, no_collection
from prefect.engine.ending import RunTimeoutError, cancel, final_state, keep_values
from prefect.engine.executors.local import LocalExecutor
from prefect.engine.interruption import Interruption
from prefect.engine.nodes import lay_out
from prefect.engine.runner import Run
from prefect.engine.transitions import change_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from prefect.core.flow import Flow
    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.events import TaskEvent
    from prefect.engine.executors.base import Executor
    from prefect.engine.runner import Keeper


def run_flow(
    flow: Flow,
    parameters: Mapping[str, Any],
    executor: Executor | str | None,
    on_state: Callable[[TaskEvent], None] | None,
    context: Mapping[str, Any],
    results: str,
    timeout: float | None,
    limits: Mapping[str, int] | None,
    task_states: Mapping[Task, State] | None = None,
    keeper: Keeper | None = None,
) -> State:
    """Run a flow; see `Flow.run`.

    Args:
        keeper: knows what was stored, and has results stored; see `prefect.keeping`.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    with no_collection():
        flow.validate()
    around = {**_around(), **context}
    parameters = {**around.get("parameters", {}), **parameters}
    given = check_parameters(flow.name, expected_by(flow), parameters)
    parameters = {each.name: given.get(each.name, each.default) for each in flow.parameters()}
    executor = _check_executor(executor)
    shared = {
        **dates(now()), **around, **ids_of_a_run(),
        "parameters": parameters, "flow_name": flow.name, "flow_id": flow.name,
    }  # fmt: skip
    logs.prepare()
    values_token, building_token = values.set(shared), building.set(None)
    try:
        session = executor.start()  # before anybody is told that the flow runs: this can fail
        abandon = True
        stop: BaseException | None = None
        try:
            if limits or any(task.resources is not None for task in flow.tasks):
                from prefect.engine.limits import check_limits  # noqa: PLC0415  # seldom

                check_limits(flow.tasks, limits or {}, session)
            running = change_state(flow, Pending(), Running("the flow is running"))
            if not isinstance(running, Running):
                return running
            logs.info("flow %r starts", flow.name)
            collect_what_stayed()
            with no_collection(many=len(flow.tasks)):
                nodes = lay_out(flow, shared)
            run = Run(
                session,
                shared,
                on_state,
                timeout,
                deadline,
                limits,
                releasing=results == "reference",
                keeper=keeper,
                task_states=task_states,
            )
            try:
                run.execute(nodes)
                keep_values(session, nodes)
                abandon = False
            except (KeyboardInterrupt, Interruption, RunTimeoutError) as error:
                stop = error
        finally:
            session.stop(abandon=abandon)
        with no_collection():
            final = final_state(flow, nodes) if stop is None else cancel(run, nodes, stop)
        state = change_state(flow, running, final)
        logs.flow_finished(flow.name, state)
        if state.result is not final.result:  # a handler replaced it, or raised
            state.traceback = state.traceback  # the text outlives the exception
            state.result = final.result
        if isinstance(stop, KeyboardInterrupt | Interruption):
            stop.state = state  # type: ignore[union-attr]  # for who catches it
            raise stop
        return state
    finally:
        values.reset(values_token)
        building.reset(building_token)


def _around() -> dict[str, Any]:
    """Return the context around a run; a flow within a task has parameters of its own."""
    around = current()
    if "flow_name" not in around:
        return around
    return {name: value for name, value in around.items() if name != "parameters"}


def _check_executor(executor: Executor | str | None) -> Executor:
    if executor is None:
        return LocalExecutor()
    if isinstance(executor, str):
        from prefect.engine.executors.text import parse_executor  # noqa: PLC0415  # seldom needed

        return parse_executor(executor)
    checked: Executor = check.executor(executor)
    return checked

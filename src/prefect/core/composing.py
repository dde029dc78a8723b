"""Ways to write flows: tags for many tasks, a function that adds tasks mapped as one."""

from __future__ import annotations

from prefect.core import check
from prefect.core import inputs as made
from prefect.core.context import Scope, ambient_tags, building, context
from prefect.core.inputs import Constant, unmappable, unmapped
from prefect.core.task import Task
from prefect.errors import FlowError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from prefect.core.flow import Flow


def tags(*names: str) -> Scope:
    """Return a block within which tasks are made with these tags beside their own.

    Args:
        *names: the tags.
    """
    return Scope({"tags": check.tags(names) | ambient_tags()})


def as_task(x: Any, flow: Flow | None = None) -> Task:
    """Return a task for a value: itself, one that gathers a collection, or a constant.

    Args:
        x: a task, or what may contain tasks.
        flow: by default the one that is being built.

    Raises:
        FlowError: there is no flow that could have a collection's task.
    """
    value = x.value if isinstance(x, made.unmapped | made.mapped | made.flatten) else x
    if isinstance(value, Task):
        return value
    found = made.as_task(value, _flow(flow))
    return Constant(value) if found is None else found


def apply_map(
    function: Callable[..., Any], *args: Any, flow: Flow | None = None, **kwargs: Any
) -> Any:
    """Map a function that adds tasks to a flow: each of its tasks is mapped, child by child.

    Args:
        function: called once, with a task for each argument; it adds tasks, and returns some.
        *args: what to map over, in step; or `unmapped(...)`, which all children get whole.
        flow: by default the one that is being built.
        **kwargs: likewise, by name.

    Returns:
        What the function returns.

    Raises:
        FlowError: there is no flow, or a value cannot be mapped over.
    """
    flow = _flow(flow)
    sources: list[Task] = []

    def prepared(name: str, value: Any) -> Any:
        if isinstance(value, unmapped):
            return value.value
        if isinstance(value, made.flatten | made.mapped):
            value, _ = made.annotated(value, True, flow)
        source = made.as_task(value, flow)
        if source is None:
            if reason := unmappable(value):
                raise FlowError(f"apply_map cannot map over {name}: {reason}")
            source = Constant(value)
        sources.append(flow.add_task(source))
        return source

    given = [prepared(f"argument {number}", value) for number, value in enumerate(args, 1)]
    named = {name: prepared(repr(name), value) for name, value in kwargs.items()}
    before, edges = set(flow.tasks), set(flow.edges)
    with flow:
        returned = function(*given, **named)
    added = [task for task in flow.tasks if task not in before]
    flow.map_added(added, [edge for edge in flow.edges if edge not in edges], sources)
    return returned


def defaults_from_attrs(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator of `run`: an argument that is None is the task's attribute of its name.

    Args:
        *names: the arguments.
    """

    def decorate(run: Callable[..., Any]) -> Callable[..., Any]:
        from functools import wraps  # noqa: PLC0415  # slow to import

        @wraps(run)
        def filled(self: Any, *args: Any, **kwargs: Any) -> Any:
            missing = {name: getattr(self, name) for name in names if kwargs.get(name) is None}
            return run(self, *args, **{**kwargs, **missing})

        return filled

    return decorate


def pause_task(message: str | None = None, duration: timedelta | None = None) -> None:
    """Pause the task that calls this, until somebody lets it go on, or for a while.

    Args:
        message: what to tell them.
        duration: for how long; the task then goes on by itself, and nobody is asked.

    Raises:
        PAUSE: always, but where the task goes on.
        TypeError: the duration is none.
    """
    from datetime import timedelta  # noqa: PLC0415  # seldom needed, as what follows

    from prefect.core.signals import PAUSE  # noqa: PLC0415
    from prefect.core.state import now  # noqa: PLC0415

    if duration is not None and not isinstance(duration, timedelta):
        raise check.wrong("duration", "a timedelta", duration)
    if context.get("resume"):
        return
    if duration is None:
        raise PAUSE(message or "the task waits for somebody's word")
    raise PAUSE(
        message or f"the task waits for {duration}",
        start_time=now() + duration,
    )


def _flow(flow: Flow | None) -> Flow:
    found = building.get() if flow is None else flow
    if found is None:
        raise FlowError("There is no flow: use it within `with Flow(...):`, or pass flow=...")
    return found

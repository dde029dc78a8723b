"""From a flow to its payload."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

from prefect.core.executor_text import parse
from prefect.core.flow import Flow
from prefect.core.serialization import executor_text
from prefect.core.task import Task
from prefect.errors import (
    NotAFlowError,
    PicklingError,
    PrefectError,
)
from prefect.frozen import frozen, replace
from prefect.payload.attachments import listed
from prefect.payload.canonical.writing import canonical
from prefect.payload.closure import installed_closure
from prefect.payload.culprit import find_culprit
from prefect.payload.local_modules import is_local_file, is_provided, requirements_of
from prefect.payload.manifest import Manifest
from prefect.payload.optional_needs import optional_needs
from prefect.payload.pickler import FlowPickler, Nowhere, Seen, Sink, local_modules_by_value
from prefect.payload.references import warn_of_references

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from prefect.payload.including import Included
    from prefect.payload.own_modules import OwnModules


@frozen
class PickledFlow:
    """A flow's payload and the description of it."""

    manifest: Manifest
    payload: bytes


def pickle_flow(
    flow: Flow,
    included: Included | None = None,
    own: OwnModules | None = None,
    *,
    again: bool = False,
) -> PickledFlow:
    """Pickle a flow with all code of its own, and describe it, reproducibly.

    Modules that are not installed (the script itself, the helper beside it) travel inside the
    payload; what comes from installed distributions is recorded as a requirement.

    The same sources and values give the same bytes, in any directory and process. Each load has
    classes of its own: what two loads give is apart, and apart from what was packaged.

    Args:
        flow: the flow.
        included: the files that travel beside it.
        own: modules that travel in wheels; what wheels there have to be is settled here.
        again: what is to be warned of is told elsewhere.

    Raises:
        NotAFlowError: something other than a flow was given.
        PicklingError: a task holds something that cannot be pickled, or imports a local module
            within a function, where it cannot be found from outside; or the flow's executor cannot
            be said as text.
    """
    settle(flow, own)
    buffer = io.BytesIO()
    manifest = _pickle(flow, buffer, included, own, track_classes=False, again=again)
    return PickledFlow(manifest, canonical(buffer.getvalue()))


def settle(flow: Flow, own: OwnModules | None) -> None:
    """Find out of which projects a flow needs the wheels, and have them made.

    Which modules are in them only they tell; of what is not in one, the flow is pickled by value.

    Raises:
        PicklingError: as `pickle_flow`.
        Exception: whatever making a wheel raises.
    """
    if not own:
        return
    _require_flow(flow)
    settled = False
    while not settled:
        with local_modules_by_value(own) as local:
            seen = _dump(flow, FlowPickler(Nowhere(), local), local, own)
        settled = own.settle(seen.modules | seen.imported_in_functions)


def pickle_flow_into(
    flow: Flow,
    file: Sink,
    included: Included | None = None,
    own: OwnModules | None = None,
    *,
    again: bool = False,
) -> Manifest:
    """Pickle a flow into a file, piece by piece, and describe it; its bytes may vary.

    In the process that packaged it, what is loaded has that process's own classes.

    Args:
        flow: the flow.
        file: gets the payload.
        included: the files that travel beside it.
        own: modules that travel in wheels, which were settled.
        again: what is to be warned of has been told.

    Raises:
        NotAFlowError: something other than a flow was given.
        PicklingError: a task holds something that cannot be pickled, or imports a local module
            within a function, where it cannot be found from outside; or the flow's executor cannot
            be said as text. The file then holds a part
            of the payload.
    """
    return _pickle(flow, file, included, own, track_classes=True, again=again)


def _pickle(
    flow: Flow,
    file: Sink,
    included: Included | None,
    own: OwnModules | None,
    *,
    track_classes: bool,
    again: bool = False,
) -> Manifest:
    _require_flow(flow)
    serialized = flow.serialize()
    executor = _executor(flow)
    with local_modules_by_value(own) as local:
        pickler = FlowPickler(file, local, included=included, track_classes=track_classes)
        seen = _dump(flow, pickler, local, own)
    named = seen.modules | seen.imported_in_functions
    if executor == "dask":
        named = named | {"distributed"}
    requirements = requirements_of(named, local, own)
    closure = installed_closure(requirements.values())
    if more := _needed_by_calls(seen, named, closure):
        requirements |= requirements_of(more, local, own)
        closure = installed_closure(requirements.values())
    if not again:
        warn_of_references(seen.references, included, flow, own)
    manifest = Manifest.describe(
        serialized,
        requirements,
        closure,
        sources=pickler.sources,
        fixed=pickler.fixed,
        values=pickler.globals,
    )
    return replace(manifest, files=listed(included.files)) if included else manifest


def _needed_by_calls(seen: Seen, named: set[str], closure: dict[str, str]) -> set[str]:
    """Return the modules that libraries import once the flow calls what it calls."""
    if not closure:
        return set()
    libraries = {name.partition(".")[0] for name in named} | closure.keys()
    return optional_needs(seen.names_in_functions, named, libraries, is_provided)


def _require_flow(flow: object) -> None:
    if not isinstance(flow, Flow):
        raise NotAFlowError(f"Only a Flow can be packaged, not {type(flow).__name__}: {flow!r:.80}")


def _executor(flow: Flow) -> str | None:
    """Return the kind of a flow's own executor, which has to be one that text says all of.

    Raises:
        PicklingError: it is another.
    """
    if flow.executor is None:
        return None
    text = executor_text(flow)
    if text is None:
        raise PicklingError(
            f"The flow {flow.name!r} has an executor that cannot travel: of {flow.executor!r} only this "
            "process knows all arguments. Give the flow one that has a text form, such as threads:8 or a "
            "Dask scheduler's address, or give this one to run(executor=...)"
        )
    try:
        kind, _ = parse(text)
    except ValueError as error:
        raise PicklingError(
            f"The flow {flow.name!r} has an executor that cannot travel: {error}"
        ) from None
    return kind


def warn_of_fixed(manifest: Manifest) -> None:
    """Log a warning of what binds a packaged flow to one series of Python, if anything does."""
    if manifest.is_fixed:
        logging.getLogger("prefect.environments").warning(
            "Warning: the flow %r runs on Python %s alone, for %s. Another Python can run what is "
            "defined in a file, and not changed while the flow is built",
            manifest.flow["name"], manifest.python_minor, manifest.why_fixed,
        )  # fmt: skip


def _dump(
    flow: Flow, pickler: FlowPickler, local: dict[str, ModuleType], own: OwnModules | None
) -> Seen:
    try:
        pickler.dump_flow(flow)
    except PrefectError:  # of the pickler, or of the file, which refuse what they are given
        raise
    except Exception as error:
        raise PicklingError(_explain(flow, local, error)) from error
    tops = {name.partition(".")[0] for name in local}
    hidden = sorted(
        name
        for name in pickler.seen.imported_in_functions
        if not (own is not None and own.project_of(name))
        and (name.startswith(".") or name.partition(".")[0] in tops or is_local_file(name))
    )
    if hidden:
        raise PicklingError(
            f"A task of the flow {flow.name!r} imports {', '.join(hidden)} within a function. That "
            "module is not installed, so it would be missing elsewhere: import it at the top of "
            "the file, and it travels with the flow"
        )
    return pickler.seen


def _explain(flow: Flow, local: dict[str, ModuleType], error: Exception) -> str:
    """Say what of a flow cannot be pickled: the task, the object, and the way to it."""

    def failure(obj: Any) -> Exception | None:
        try:
            FlowPickler(Nowhere(), local).dump(obj)
        except Exception as inner:  # noqa: BLE001 - any failure names the culprit
            return inner
        return None

    for part in (*flow.tasks, flow.environment, flow.schedule):
        if inner := failure(part):
            name = f"Task {part.name!r}" if isinstance(part, Task) else f"The {type(part).__name__}"
            return f"{name} of the flow {flow.name!r} cannot be pickled: {_culprit(part, inner, failure)}"
    if isinstance(error, OSError):  # of the file, such as a full disk: no part fails by itself
        raise error
    return f"The flow {flow.name!r} cannot be pickled: {_culprit(flow, error, failure)}"


def _culprit(part: Any, error: Exception, failure: Callable[[Any], Exception | None]) -> str:
    steps, way = find_culprit(part, lambda obj: failure(obj) is not None)
    told = str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
    if steps:
        kind = type(way[-1])
        told += f", at {' > '.join(steps)} (a {kind.__module__}.{kind.__qualname__})"
    for each in way:
        if isinstance(each, type) and type(each) is not type:
            return (
                f"{told}. A library has a registry with the class {each.__qualname__}: define it in a module of its own "
                "beside the script, and it travels as source"
            )
    return f"{told}. Create such objects within the task's run, where they are needed"

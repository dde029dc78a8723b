"""A run that keeps something: with a record, results that are stored, and those of an earlier run."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect.core.context import current, dates
from prefect.core.kept import LAST, asked
from prefect.core.parameter import works
from prefect.core.state import now
from prefect.core.value_types import json_form
from prefect.engine.flow_run import run_flow
from prefect.errors import ParameterError, RecordError
from prefect.keeping.keeper import Keeper
from prefect.keeping.recording import RunRecord
from prefect.keeping.storing import require_key
from prefect.progress.counts import watching
from prefect.records.finding import find_run, path_of, runs_in
from prefect.records.names import new_run
from prefect.secrets.masking import MASK, mask_all, remember
from prefect.store.pruning import bound
from prefect.store.store import open_store
from prefect.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.core.flow import Flow
    from prefect.core.kept import Kept
    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.events import TaskEvent
    from prefect.store.store import Store


def run_kept(
    kept: Kept,
    flow: Flow,
    parameters: Mapping[str, Any],
    executor: Any,
    on_state: Callable[[TaskEvent], None] | None,
    context: Mapping[str, Any],
    results: str,
    timeout: float | None,
    limits: Mapping[str, int] | None,
    task_states: Mapping[Task, State] | None = None,
) -> State:
    """Run a flow; see `Flow.run`.

    Args:
        kept: what is to be kept, and gone on with.

    Raises:
        RecordError: the store has no such run.
        StoreError: the store cannot be used.
    """
    flow.validate()
    if "flow_name" not in (around := current()):  # what a block has, and no run outside
        context = {**around, **context}
    if isinstance(given_secrets := context.get("secrets"), Mapping):
        for value in given_secrets.values():
            remember(value)
    store = open_store(kept.store)
    token = asked.set(None)  # what is asked for is none of the flows that tasks run
    try:
        if kept.store is None and kept.resume is None:
            if flow.stored_in and any(
                works(t) and not (t.caches or t.stored_in) for t in flow.tasks
            ):
                logging.getLogger("prefect").warning(
                    "Flow %r has result=%r, and only of cached tasks something is stored there: run it with a "
                    "store, flow.run(store=...)", flow.name, flow.stored_in,
                )  # fmt: skip
            keeper = Keeper(
                store, None, "", resumes=False, tasks=flow.tasks, place=flow.stored_in,
                requirements=kept.requirements,
            )  # fmt: skip
            return run_flow(
                flow,
                parameters,
                executor,
                on_state,
                context,
                results,
                timeout,
                limits,
                task_states,
                keeper,
            )
        if kept.place not in {None, "here"}:
            require_key(store, kept.key_id)
        run = kept.run
        if run is None or store.files.touch(path_of(run)):  # the second one of a schedule
            run = new_run(flow.name)
        earlier = _Earlier.of(store, flow, kept.resume) if kept.resume else None
        if earlier is not None:
            require_key(store, earlier.key_id)
            parameters = earlier.parameters(flow, parameters)
            context = {**dates(earlier.start), **earlier.context, **context}
        start = context.get("scheduled_start_time") or now()
        given, context = context, {**dates(start), **context}
        if (counts := watching.get()) is not None and "flow_name" not in around:
            from prefect.records.expected import expect  # noqa: PLC0415 - where somebody watches

            expect(counts, store, flow.name)
        root = earlier.root if earlier else run
        keeper = Keeper(
            store,
            root,
            run,
            resumes=earlier is not None,
            tasks=flow.tasks,
            place=flow.stored_in,
            requirements=kept.requirements,
        )
        header = {
            "run": run,
            "flow": flow.serialize(),
            "parameters": _used(flow, parameters),
            "executor": executor if isinstance(executor, str) else _text_of(executor),
            "place": kept.place,
            "artifact": kept.artifact,
            "resumes": earlier.run if earlier else None,
            "root": root,
            "results_key": store.key_id,
            "start": start.isoformat(),
            "context": _recorded({n: v for n, v in given.items() if n not in _NOT_RECORDED}),
            "host": platform.node(),
            "pid": os.getpid(),
            "versions": {
                "python": platform.python_version(),
                "prefect": __version__,
                "requirements": sorted(kept.requirements.values()),
            },
        }
        return RunRecord(store, run, header).around(
            lambda told: run_flow(
                flow, parameters, executor, told, context, results, timeout, limits,
                task_states, keeper,
            ),
            flow, on_state, keeper,
        )  # fmt: skip
    finally:
        asked.reset(token)
        bound(store)


class _Earlier:
    """The run that one goes on with.

    Args:
        header: of its record.
    """

    def __init__(self, header: Mapping[str, Any]) -> None:
        self.run: str = header["run"]
        self.root: str = header.get("root") or self.run
        self.key_id: str | None = header.get("results_key")
        self.start = datetime.fromisoformat(header["start"])
        self._parameters: dict[str, Any] = header["parameters"]
        described = header["flow"].get("parameters")
        self._defaults: dict[str, Any] = {
            str(each.get("name")): each.get("default")
            for each in (described if isinstance(described, list) else ())
            if isinstance(each, dict) and not each.get("required")
        }
        self.context = {
            name: value
            for name, value in dict(header.get("context") or {}).items()
            if MASK not in json.dumps(value)
        }

    @classmethod
    def of(cls, store: Store, flow: Flow, resume: str) -> _Earlier:
        """Find it.

        Raises:
            RecordError: there is no such run, or several.
            StoreError: the store cannot be read.
        """
        if resume != LAST:
            header = _header(store, find_run(store, resume))
            named = header["flow"].get("name")
            if named != flow.name:
                raise RecordError(
                    f"Run {header['run']} is of flow {named!r}, and not of {flow.name!r}"
                )
            return cls(header)
        for name in reversed(runs_in(store)):
            with suppress(
                RecordError
            ):  # one that was cut off before it began is none to go on with
                header = _header(store, name)
                if header.get("flow", {}).get("name") == flow.name:
                    return cls(header)
        raise RecordError(
            f"{store.where} has no run of flow {flow.name!r} to go on with: run it once without resume"
        )

    def parameters(self, flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return its parameters, those that are given now over them.

        Raises:
            ParameterError: one was not recorded as it was, and is not given.
        """
        found = dict(given)
        known = {each.name for each in flow.parameters()}
        for name, value in self._parameters.items():
            if name in found or name not in known:  # it had another name then
                continue
            text = json.dumps(value)
            if MASK in text or (isinstance(value, dict) and _LACKS in value):
                raise ParameterError(
                    f"Parameter {name!r} of run {self.run} was not recorded as it was: give it again"
                )
            found[name] = value
            self._say_if_changed(flow, name, value)
        return found

    def _say_if_changed(self, flow: Flow, name: str, value: Any) -> None:
        """Say it where a parameter goes on with a default that is another one now."""
        default = next(each.default for each in flow.parameters() if each.name == name)
        if value != self._defaults.get(name):  # it was given
            return
        try:
            now_default = json_form(default)
        except (TypeError, ValueError):
            return
        if now_default != value:
            logging.getLogger("prefect").warning(
                "Parameter %r is %.60r, its default in run %s, which this run goes on with. The default is %.60r "
                "now: give the parameter to have that", name, value, self.run, now_default,
            )  # fmt: skip


_LACKS = "no JSON form"


def _header(store: Store, run: str) -> dict[str, Any]:
    read = store.files.read(path_of(run)) or b""
    try:
        found = json.loads(bytes(read[: read.find(b"\n")]))
        cls_fields = (found["run"], found["start"], found["parameters"], found["flow"])
        datetime.fromisoformat(found["start"])
        if not isinstance(cls_fields[0], str) or not all(
            isinstance(each, dict) for each in cls_fields[2:]
        ):
            raise ValueError("it is malformed")  # noqa: TRY301
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"The record of run {run} in {store.where} cannot be read") from error
    return dict(found)


def _used(flow: Flow, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run as JSON has them, defaults among them, with secrets masked."""
    used = {each.name: each.default for each in flow.parameters() if not each.required}
    used |= {n: v for n, v in parameters.items() if n in {each.name for each in flow.parameters()}}
    recorded = _recorded(used)
    # A default is there another time; what was given has to be given again.
    lacking = {n: {_LACKS: type(parameters[n]).__name__} for n in used if n in parameters}
    return {**{n: v for n, v in lacking.items() if n not in recorded}, **recorded}


def _recorded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values that JSON can have, as it has them, with secrets masked."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        try:
            plain = json_form(value)
            json.dumps(plain, allow_nan=False)
        except (TypeError, ValueError):
            continue
        found[name] = mask_all(plain)
    return found


_NOT_RECORDED = frozenset({"output_dir", "secrets", "parameters", "scheduled_start_time", "date"})
"""Of the context that a run is given: what is of the machine, secret, or known otherwise."""


def _text_of(executor: Any) -> str | None:
    return None if executor is None else executor.text()

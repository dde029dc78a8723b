"""Decides what the engine does of a task whose result may be stored: take it, or make and store it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from prefect.core.context import values
from prefect.core.parameter import works
from prefect.core.state import Failed
from prefect.core.state_kinds import Cached
from prefect.core.tracebacks import describe
from prefect.engine.job import UNLOADABLE
from prefect.errors import ResultUnavailableError, StoreError
from prefect.keeping.keys import Keys
from prefect.keeping.loading import is_sure_to_load
from prefect.keeping.storing import NEVER, Keeping, told_of, worker_here
from prefect.secrets.masking import holds_secret, is_masking, remember
from prefect.store.store import Stored, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.job import Job
    from prefect.engine.nodes import Node
    from prefect.store.store import Entry, Store

_logger = logging.getLogger("prefect")


class Keeper:
    """What the runner asks before each task of a run.

    Args:
        store: has the results.
        root: the first of the runs that this one goes on with, or this run itself: a task's result
            belongs to it unless the task is cached. With None only those of cached tasks are stored.
        run: this run.
        resumes: whether results of the earlier ones may be taken.
        tasks: of the flow. What their code consists of is looked at before one has run, and perhaps changed
            a global.
        place: where the results of tasks are stored that do not say so; None is the store.
        requirements: as `Codes` takes them.
    """

    def __init__(
        self,
        store: Store,
        root: str | None,
        run: str,
        *,
        resumes: bool,
        tasks: Iterable[Task],
        place: str | None = None,
        requirements: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._root = root
        self._run = run
        self._resumes = resumes
        self._place = place
        self._keys = Keys(store, requirements)
        for task in tasks:
            if works(task):
                self._keys.look_at(task)
                if root is None and task.stored_in and not task.caches:
                    _logger.warning(
                        "Task %r has result=%r, and nothing is stored there: run the flow with a store, "
                        "flow.run(store=...), or have the task cached", task.name, task.stored_in,
                    )  # fmt: skip
        self._seen: set[Any] = {worker_here()}  # workers that write where this process reads
        self._looked: set[str] = set()  # stores where this run knows what is there since it began
        self._said: set[str] = set()  # tasks of which it was said that they are made again

    def begin(self, node: Node, job: Job) -> State | None:
        """Return the state of a task whose result is there; otherwise have the job keep what it makes.

        Args:
            node: waits for nothing; its trigger lets it run.
            job: what is to be done otherwise.
        """
        task, step = node.step.task, node.step
        if not works(task):
            if task.auto_generated:
                self._keys.know_by_inputs(node)
            job.keeping = Keeping(None, "", {})
            return None
        cached = task.caches
        inputs = self._keys.inputs(node)
        scope: list[Any] = (
            ["any run"] if cached else [self._root, step.slug, self._keys.number(node, inputs)]
        )
        token = values.set(job)
        try:
            key = self._keys.key(task, scope, inputs, job)
        except Exception as error:  # noqa: BLE001 - of a function of the user's
            return Failed(
                f"the cache_key of task {task.name!r} cannot be made: {describe(error)}", error
            )
        finally:
            values.reset(token)
        if task.checkpoint is False or (not cached and self._root is None):
            job.keeping = Keeping(None, key, {})
            # What may not rest, and what ends with the run, is known by how it is made.
            self._keys.know_by_key(node, key, alone=task.checkpoint is False)
            return None
        store, why = self._store_of(task), None
        if cached or self._resumes:
            found = self._fresh(store, key, task)
            if found is not None:
                why = self._unloadable(step.slug, task, *found)
                if why is None:
                    return self._taken(node, *found, inputs)
        about: dict[str, Any] = {"run": self._run, "task": step.slug, "inputs": inputs}
        if node.map_index is not None:
            about["map_index"] = node.map_index
        job.keeping = Keeping(store.where, key, about, store.key_id, why)
        self._keys.know_by_key(node, key)
        return None

    def _store_of(self, task: Task) -> Store:
        place = self._place if task.stored_in is None else task.stored_in
        return self._store if place is None else open_store(place)

    def take(self, node: Node, state: State) -> None:
        """Look at what came back of a job, perhaps from another process.

        Raises:
            StoreError: the store is not here what it is there.
        """
        context = getattr(state, "_context", None) or {}
        for value in context.pop("learned", ()):
            remember(value)
        stored, worker = context.get("stored"), context.get("worker")
        if UNLOADABLE in context:
            # Where it was made it was stored; a later run would find that it is of no use.
            self._store_of(node.step.task).remove(self._keys.key_of(node))
        if stored is None:
            return
        store = open_store(stored["where"])
        if worker not in self._seen:
            self._seen.add(worker)
            if store.entry(stored["key"]) is None:
                raise StoreError(
                    f"What {worker} stored in {store.where} is not there for the process that runs the flow: "
                    "workers on other machines need a directory that all share, or a store by its URL, such as "
                    "s3://bucket/runs"
                )
        if stored.pop("left", False):
            state.held = Stored(store.where, stored["key"])
        # Another process does not know the values that are masked here.
        if is_masking() and worker != worker_here() and store.holds(stored["key"], holds_secret):
            state.held = state.result
            store.remove(stored["key"])
            del context["stored"]
            context["unstored"] = NEVER

    def code(self, task: Task) -> Mapping[str, str]:
        """Return what a task's code consists of."""
        return self._keys.code(task)

    def reads(self, task: Task) -> Mapping[str, list[str]]:
        """Return what a task reads of `prefect.context`: by name, a digest, and a text; "" for what is not to be told."""
        return self._keys.reads(task)

    def _fresh(self, store: Store, key: str, task: Task) -> tuple[Entry, Stored] | None:
        """Return what is known of a stored result that is fresh, and a reference to it."""
        found = store.find(key, soon=store.where in self._looked)
        if found is None:
            self._looked.add(store.where)
        return found if found is not None and _is_fresh(task, found[0]) else None

    def _unloadable(self, slug: str, task: Task, entry: Entry, stored: Stored) -> str | None:
        """Say it, and why, if a stored result cannot be loaded here."""
        # A key of the user's own does not tell of the code.
        if is_sure_to_load(entry.about.get("needs"), same_code=task.cache_key is None):
            return None
        try:
            stored.fetch()
        except ResultUnavailableError as error:
            if slug not in self._said:
                self._said.add(slug)
                _logger.warning("Task %r runs again: %s", task.name, error)
            return f"the result that run {entry.about.get('run')} had stored is of no use here: {error}"
        return None

    def _taken(self, node: Node, entry: Entry, stored: Stored, inputs: dict[str, str]) -> State:
        told = told_of(entry, self._store)
        self._keys.know_by_stored(node, told)
        run = entry.about.get("run")
        state = Cached(f"its result was stored by run {run}", stored)
        state.context["stored"] = {**told, "run": run, "inputs": inputs}
        return state


def _is_fresh(task: Task, entry: Entry) -> bool:
    limit: timedelta | None = task.cache_for
    return limit is None or time.time() - entry.time <= limit.total_seconds()

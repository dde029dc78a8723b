"""Decides what the engine does of a task whose result may be stored: take it, or make and store it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import sys
import threading
import time
from contextlib import suppress
from itertools import repeat
from types import FunctionType
from typing import TYPE_CHECKING, Any

from prefect.core.context import values
from prefect.core.parameter import works
from prefect.core.refs import Ref
from prefect.core.state import Failed, Mapped, Skipped, Success
from prefect.core.state_kinds import Cached
from prefect.core.tracebacks import describe
from prefect.core.value_types import json_form
from prefect.engine.job import UNLOADABLE
from prefect.engine.nodes import ITEM, SHARED
from prefect.errors import ResultUnavailableError, StoreError
from prefect.keeping.code import Codes
from prefect.keeping.known_by import known_by, text_known_by
from prefect.keeping.loading import is_sure_to_load, needs
from prefect.patterns import pattern
from prefect.secrets.masking import (
    has_learned,
    holds_secret,
    is_masking,
    learned_in,
    mask_all,
    remember,
)
from prefect.store.formats import encode
from prefect.store.store import KEY_VARIABLE, Stored, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.job import Job
    from prefect.engine.nodes import Node
    from prefect.store.formats import Encoded
    from prefect.store.store import Entry, Store

_SERIES = f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}"
_logger = logging.getLogger("prefect")
_MADE = "made:"
_NEVER = "It holds a secret's value, which never rests in a store"
_LARGE = 1 << 16
"""Bytes of a result from which on another process sends word of it alone."""


class Keeping:
    """What a job is to do with its result. Can be sent to another process.

    Args:
        where: the store; None where there is nothing to do but to read what others stored.
        key: of the result; "" for what only passes values on.
        about: what the store is to know of it.
        key_id: the public name of the key with which the store is encrypted.
        why: the task runs although its result was stored; None where it was not.
    """

    __slots__ = ("about", "key", "key_id", "where", "why")

    def __init__(
        self,
        where: str | None,
        key: str,
        about: dict[str, Any],
        key_id: str | None = None,
        why: str | None = None,
    ) -> None:
        self.where = where
        self.key_id = key_id
        self.key = key
        self.about = about
        self.why = why

    def inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return inputs without references to what lies in a store."""
        return _fetched(inputs) if any(isinstance(v, Ref) for v in inputs.values()) else inputs

    def keep(self, state: State) -> State:
        """Store the value of a success, and note who made it; return the state."""
        if self.key:
            state.context["worker"] = _worker()
        if self.why is not None:
            state.context["why"] = self.why
        if not isinstance(state, Success) or isinstance(state, Skipped):
            return state
        if self.where is None:
            if has_learned() and self.key:
                with suppress(StoreError):
                    _tell_learned(state, encode(state.result))
            return state
        try:
            encoded = encode(state.result)
            _tell_learned(state, encoded)
            if is_masking() and any(holds_secret(bytes(part)) for part in encoded.parts):
                raise StoreError(_NEVER)  # noqa: TRY301
            about = {
                **self.about, "same": encoded.same, "named": _named(encoded), "needs": needs(encoded),
            }  # fmt: skip
            store = open_store(self.where)
            require_key(store, self.key_id)
            entry = store.put_encoded(self.key, encoded, about)
        except StoreError as error:
            state.context["unstored"] = str(error)
            return state
        state.context["stored"] = {
            **_stored(entry, store), "inputs": self.about["inputs"],
        }  # fmt: skip
        return state

    def leave(self, state: State) -> None:
        """Take a large value that was stored out of a state that goes to another process."""
        stored = getattr(state, "_context", {}).get("stored")
        if stored is not None and stored["size"] >= _LARGE:
            state.held = None
            stored["left"] = True


def require_key(store: Store, key_id: str | None) -> None:
    """Refuse a store that is not encrypted as it was meant to be.

    Raises:
        StoreError: this process has another key, or none.
    """
    if store.key_id != key_id:
        here, there = (
            f"with key {each}" if each else "without a key" for each in (store.key_id, key_id)
        )
        raise StoreError(
            f"The results are stored {there}, and this process stores them {here}: set {KEY_VARIABLE}; for "
            f"places, --secret {KEY_VARIABLE}"
        )


def _tell_learned(state: State, encoded: Encoded) -> None:
    """Have the process that runs the flow know what secrets of this process a result holds."""
    if learned := learned_in(encoded.parts):
        state.context["learned"] = learned


def _stored(entry: Entry, store: Store) -> dict[str, Any]:
    return {
        "where": store.where, "key": entry.key, "digest": store.veiled(entry.digest), "size": entry.size, "format": entry.format,
        "same": entry.about.get("same"), "named": entry.about.get("named"),
    }  # fmt: skip


_threads: dict[int, int] = {}


def _worker() -> str:
    """Name the thread that does something, for people: threads of a process by small numbers."""
    if threading.current_thread() is threading.main_thread():
        return f"{platform.node()}:{os.getpid()}"
    number = _threads.setdefault(threading.get_ident(), len(_threads) + 1)
    return f"{platform.node()}:{os.getpid()}/{number}"


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
        self._codes = Codes(requirements)
        for task in tasks:
            if works(task):
                self._codes.of(task)
                if root is None and task.stored_in and not task.caches:
                    _logger.warning(
                        "Task %r has result=%r, and nothing is stored there: run the flow with a store, "
                        "flow.run(store=...), or have the task cached", task.name, task.stored_in,
                    )  # fmt: skip
        self._code_keys: dict[int, str] = {}
        self._reads: dict[int, dict[str, list[str]]] = {}
        self._digests: dict[Node, str] = {}
        self._recipes: dict[Node, str] = {}
        self._numbers: dict[Node, int] = {}
        self._alike: dict[Any, int] = {}
        self._seen: set[Any] = {_worker()}  # workers that write where this process reads
        self._constants: dict[int, dict[str, str]] = {}
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
                self._digests[node] = _digest("made", [type(task).__name__, self._inputs(node)])
            job.keeping = Keeping(None, "", {})
            return None
        cached = task.caches
        inputs = self._inputs(node)
        scope: list[Any] = (
            ["any run"] if cached else [self._root, step.slug, self._number(node, inputs)]
        )
        token = values.set(job)
        try:
            key = self._key(task, scope, inputs, job)
        except Exception as error:  # noqa: BLE001 - of a function of the user's
            return Failed(
                f"the cache_key of task {task.name!r} cannot be made: {describe(error)}", error
            )
        finally:
            values.reset(token)
        if task.checkpoint is False or (not cached and self._root is None):
            job.keeping = Keeping(None, key, {})
            # What may not rest, and what ends with the run, is known by how it is made.
            self._recipes[node] = _MADE + key
            if task.checkpoint is False:
                self._digests[node] = self._recipes[node]
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
        self._recipes[node] = _MADE + key
        return None

    def _store_of(self, task: Task) -> Store:
        place = self._place if task.stored_in is None else task.stored_in
        return self._store if place is None else open_store(place)

    def _number(self, node: Node, inputs: dict[str, str]) -> int:
        """Return which one of the children that are given the same a child is: mostly 0, whatever its index."""
        found = self._numbers.get(node)
        if found is None:
            like = (node.step.slug, tuple(sorted(inputs.items())))
            found = self._numbers[node] = self._alike.get(like, 0)
            self._alike[like] = found + 1
        return found

    def take(self, node: Node, state: State) -> None:
        """Look at what came back of a job, perhaps from another process.

        Raises:
            StoreError: the store is not here what it is there.
        """
        context = getattr(state, "_context", None) or {}
        for value, name in context.pop("learned", {}).items():
            remember(value, name)
        stored, worker = context.get("stored"), context.get("worker")
        if UNLOADABLE in context:
            # Where it was made it was stored; a later run would find that it is of no use.
            self._store_of(node.step.task).remove(self._recipes[node].removeprefix(_MADE))
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
        if is_masking() and worker != _worker() and store.holds(stored["key"], holds_secret):
            state.held = state.result
            store.remove(stored["key"])
            del context["stored"]
            context["unstored"] = _NEVER

    def code(self, task: Task) -> Mapping[str, str]:
        """Return what a task's code consists of."""
        found = self._codes.of(task)[0]
        if self._store.key_id is None:
            return found
        return {
            n: self._store.veiled(each)[7:23] if _DIGEST.fullmatch(each) else each
            for n, each in found.items()
        }

    def reads(self, task: Task) -> Mapping[str, list[str]]:
        """Return what a task reads of `prefect.context`: by name, a digest, and a text; "" for what is not to be told."""
        return self._reads.get(id(task), {})

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
        told = _stored(entry, self._store)
        self._digests[node] = self._of_stored(told)
        run = entry.about.get("run")
        state = Cached(f"its result was stored by run {run}", stored)
        state.context["stored"] = {**told, "run": run, "inputs": inputs}
        return state

    def _key(self, task: Task, scope: list[Any], inputs: dict[str, str], job: Job) -> str:
        chosen = task.cache_key
        if chosen is not None:
            text = chosen(**_fetched(job.inputs)) if callable(chosen) else chosen
            return _digest("chosen", [task._type_name, scope, text_known_by(str(text))])[7:]  # noqa: SLF001
        parts, names = self._codes.of(task)
        around: list[list[str]] = []
        if names:
            known = job.context
            around = [
                [name, self._of_value(_without_values(name, known[name]))]
                for name in sorted(names & known.keys())
            ]
            if id(task) not in self._reads:
                self._reads[id(task)] = {
                    name: [
                        "" if name in _NOT_SHOWN else digest[:_OF_READ],
                        _text_of(name, known[name]),
                    ]
                    for name, digest in around
                }
        code = self._code_keys.get(id(task))
        if code is None:
            code = self._code_keys[id(task)] = _digest("code", [_SERIES, parts])
        return _digest("task", [scope, code, inputs, around])[7:]

    def _inputs(self, node: Node) -> dict[str, str]:
        """Return the digests of what a task is given, by name; of what it waits for alone, none."""
        step = node.step
        found = self._constants.get(id(step))
        if found is None:
            found = {name: self._of_value(value) for name, value in step.constants.items()}
            self._constants[id(step)] = found
        found = dict(found)
        kinds = node.kinds or repeat(SHARED)
        for edge, source, kind in zip(step.edges, node.sources, kinds, strict=False):
            if edge[2] is not None:
                found[edge[2]] = self._of_value(source) if kind == ITEM else self._of(source)
        return found

    def _of(self, node: Node) -> str:
        """Return the digest of a task's result."""
        found = self._digests.get(node)
        if found is None:
            found = self._digests[node] = self._made(node)
        return found

    def _made(self, node: Node) -> str:
        state = node.state
        assert state is not None  # noqa: S101  # it has finished
        if node.children is not None:
            return _digest("children", [self._of(child) for child in node.children])
        if isinstance(state, Mapped):
            return _digest("children", [self._of_state(each) for each in state.map_states])
        return self._of_state(state, self._recipes.get(node))

    def _of_state(self, state: State, recipe: str | None = None) -> str:
        stored = getattr(state, "_context", {}).get("stored")
        if stored is not None:
            return self._of_stored(stored)
        if not isinstance(state, Success):
            return _digest("state", [type(state).__name__, text_known_by(str(state.message))])
        return self._of_value(state.held, recipe)

    def _of_value(self, value: Any, recipe: str | None = None) -> str:
        if isinstance(value, Ref):
            value = value.fetch()
        try:
            encoded = encode(value)
        except StoreError:
            # Then how it was made decides; or nothing says whether it is the same again.
            digest = None
        else:
            digest = known_by(encoded)
            if digest is None and recipe is None and _NAMELESS not in self._said:
                self._said.add(_NAMELESS)
                _logger.warning(_NAMELESS)
        if digest is None:
            return recipe or f"none:{os.urandom(16).hex()}"
        return self._with_code(digest, encoded.named)

    def _of_stored(self, stored: Mapping[str, Any]) -> str:
        named = [_found(str(each)) for each in stored.get("named") or ()]
        same = stored.get("same") or stored["digest"]
        return self._with_code(str(same), [each for each in named if each is not None])

    def _with_code(self, digest: str, named: Iterable[Any]) -> str:
        """Return a digest of a value and of the user's classes that it is of: they decide what is done with it."""
        digest = self._store.veiled(digest)
        parts: dict[str, str] = {}
        for each in named:
            parts |= self._codes.of_named(each)
        return _digest("value", [digest, parts]) if parts else digest


_NAMELESS = (
    "A value that tasks are given holds a secret without a name, such as a key or that of a SecretBase of one's own: "
    "what is made of it is made again in each run. Hand over the task's whole result, or read the secret by "
    "Secret(...).value"
)
_MOST_NAMED = 100
_DIGEST = pattern(r"[0-9a-f]{16}")
"""Of a part of code, which may be a constant of few values."""


_OF_READ = len("sha256:") + 16
_LONGEST_READ = 100
"""Characters."""
_NOT_SHOWN = frozenset({"secrets"})
"""Of which a record has no digest, either: a short secret could be guessed from it."""


def _without_values(name: str, value: Any) -> Any:
    """Return what counts of a value of the context: of secrets their names."""
    return sorted(map(str, value)) if name in _NOT_SHOWN and isinstance(value, dict) else value


def _text_of(name: str, value: Any) -> str:
    """Return what is shown of a value of the context, with secrets masked; "" where nothing is."""
    if name in _NOT_SHOWN:
        return ""
    try:
        text = json.dumps(mask_all(json_form(value)), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return ""
    return text if len(text) <= _LONGEST_READ else f"{text[:_LONGEST_READ]}…"


def _named(encoded: Encoded) -> list[str]:
    """Return the names of classes and functions that a value names, but for those that Python has itself."""
    names = {
        f"{each.__module__}:{each.__qualname__}"
        for each in encoded.named
        if str(each.__module__).partition(".")[0] not in sys.stdlib_module_names
    }
    return sorted(names)[:_MOST_NAMED]


def _found(name: str) -> Any:
    """Return a class or function by its name, as far as its module has been imported."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type | FunctionType) else None


def _fetched(inputs: dict[str, Any]) -> dict[str, Any]:
    return {n: v.fetch() if isinstance(v, Ref) else v for n, v in inputs.items()}


def _is_fresh(task: Task, entry: Entry) -> bool:
    limit: timedelta | None = task.cache_for
    return limit is None or time.time() - entry.time <= limit.total_seconds()


def _digest(kind: str, parts: Any) -> str:
    return f"sha256:{hashlib.sha256(_to_json([kind, parts]).encode()).hexdigest()}"


_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode

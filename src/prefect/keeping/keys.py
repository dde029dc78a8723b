"""What results are known by in one run: the keys of tasks, and the digests of what they are given."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from itertools import repeat
from types import FunctionType
from typing import TYPE_CHECKING, Any

from prefect.core.refs import Ref
from prefect.core.state import Mapped, Success
from prefect.core.value_types import json_form
from prefect.engine.nodes import ITEM, SHARED
from prefect.errors import StoreError
from prefect.keeping.code import Codes
from prefect.keeping.known_by import known_by, text_known_by
from prefect.keeping.storing import fetched
from prefect.patterns import pattern
from prefect.secrets.masking import mask_all
from prefect.store.formats import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prefect.core.state import State
    from prefect.core.task import Task
    from prefect.engine.job import Job
    from prefect.engine.nodes import Node
    from prefect.store.store import Store

_SERIES = f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}"
_logger = logging.getLogger("prefect")
_MADE = "made:"
_DIGEST = pattern(r"[0-9a-f]{16}")
"""Of a part of code, which may be a constant of few values."""
_OF_READ = len("sha256:") + 16
_LONGEST_READ = 100
"""Characters."""
_NOT_SHOWN = frozenset({"secrets"})
"""Of which a record has no digest, either: a short secret could be guessed from it."""


class Keys:
    """Knows by what each task of a run, and each value, is known.

    Args:
        store: veils digests, where it is encrypted.
        requirements: as `Codes` takes them.
    """

    def __init__(self, store: Store, requirements: Mapping[str, str] | None) -> None:
        self._store = store
        self._codes = Codes(requirements)
        self._code_keys: dict[int, str] = {}
        self._reads: dict[int, dict[str, list[str]]] = {}
        self._digests: dict[Node, str] = {}
        self._recipes: dict[Node, str] = {}
        self._numbers: dict[Node, int] = {}
        self._alike: dict[Any, int] = {}
        self._constants: dict[int, dict[str, str]] = {}

    def look_at(self, task: Task) -> None:
        """Look at what a task's code consists of, which is what it counts by from then on."""
        self._codes.of(task)

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

    def key(self, task: Task, scope: list[Any], inputs: dict[str, str], job: Job) -> str:
        """Return the key of a task's result.

        Args:
            task: whose result it is.
            scope: which runs have the result in common.
            inputs: as `inputs` returns them.
            job: has the values, and the context.
        """
        chosen = task.cache_key
        if chosen is not None:
            text = chosen(**fetched(job.inputs)) if callable(chosen) else chosen
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

    def inputs(self, node: Node) -> dict[str, str]:
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

    def number(self, node: Node, inputs: dict[str, str]) -> int:
        """Return which one of the children that are given the same a child is: mostly 0, whatever its index."""
        found = self._numbers.get(node)
        if found is None:
            like = (node.step.slug, tuple(sorted(inputs.items())))
            found = self._numbers[node] = self._alike.get(like, 0)
            self._alike[like] = found + 1
        return found

    def know_by_inputs(self, node: Node) -> None:
        """Have a node's result known by what it is made of: of a task that the core made, and that does no work."""
        self._digests[node] = _digest("made", [type(node.step.task).__name__, self.inputs(node)])

    def know_by_key(self, node: Node, key: str, *, alone: bool = False) -> None:
        """Have a node's result known by how it is made, where its value does not tell.

        Args:
            node: whose result it is.
            key: of the result.
            alone: whatever its value is.
        """
        self._recipes[node] = _MADE + key
        if alone:
            self._digests[node] = self._recipes[node]

    def key_of(self, node: Node) -> str:
        """Return the key that `know_by_key` was told of."""
        return self._recipes[node].removeprefix(_MADE)

    def know_by_stored(self, node: Node, stored: Mapping[str, Any]) -> None:
        """Have a node's result known by what is told of it in a store."""
        self._digests[node] = self._of_stored(stored)

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
            return recipe or f"none:{os.urandom(16).hex()}"
        return self._with_code(known_by(encoded), encoded.named)

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


def _found(name: str) -> Any:
    """Return a class or function by its name, as far as its module has been imported."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type | FunctionType) else None


def _digest(kind: str, parts: Any) -> str:
    return f"sha256:{hashlib.sha256(_to_json([kind, parts]).encode()).hexdigest()}"


_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode

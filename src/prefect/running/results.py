"""A run's result on its way out of a place: the states of its tasks, and its reference tasks' values.

One file: the HMAC-SHA256 of the rest in hexadecimal digits and a line feed; an object of JSON and a
line feed; pickles, one after the other. The object is read, and the pickles are handed on, without
anything being unpickled. Its form:

    {"flow": name, "state", "message", "tasks": [{"task": slug, "name", "state", "message",
     "traceback": of a failure, "value": of a reference task, "children": of a mapped task}]}

A value is {"json": itself}, or {"pickle": [offset, size]} with "json" where it has such a form, or
{"lacks": why it stayed behind}.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from prefect.core.state import Failed, Mapped
from prefect.core.state_kinds import KINDS, kind_name
from prefect.errors import ArtifactError, RemoteTaskError
from prefect.frozen import frozen
from prefect.payload import values
from prefect.printable import printable
from prefect.secrets.masking import holds_secret, is_masking, mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.core.flow import Flow
    from prefect.core.state import State

_LARGEST_JSON = 1 << 27


class NotCarried:
    """Stands for a value that did not come out of the place of its run.

    Args:
        reason: why.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<NotCarried: {self.reason}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotCarried)

    __hash__ = None  # type: ignore[assignment]  # as results' need not be


_NO_REFERENCE = "the values of reference tasks are carried alone"


class _Packing:
    """Describes states, and collects the pickles of their values."""

    def __init__(self) -> None:
        self.pickles = bytearray()
        self.behind: list[str] = []

    def record(self, state: State, where: str, *, with_value: bool) -> dict[str, Any]:
        told: dict[str, Any] = {"state": kind_name(state), "message": _masked(state.message)}
        if isinstance(state, Mapped):
            told["children"] = [
                self.record(child, f"{where}[{index}]", with_value=with_value)
                for index, child in enumerate(state.map_states)
            ]
        elif isinstance(state, Failed):
            told["traceback"] = _masked(state.traceback)
            told["value"] = self._value(state.result, None)
        elif with_value:
            told["value"] = self._value(state.result, where)
        return told

    def _value(self, value: Any, where: str | None) -> dict[str, Any]:
        if values.is_plain(value):
            return {"json": value}
        try:
            data = values.pickled(value)
        except Exception as error:  # noqa: BLE001 - a value's own code
            reason = f"it cannot be pickled: {type(error).__name__}: {mask(str(error))[:500]}"
            if where is not None:
                self.behind.append(f"The result of {printable(where)} stays behind: {reason}")
            return {"lacks": reason}
        told: dict[str, Any] = {"pickle": [len(self.pickles), len(data)]}
        self.pickles += data
        try:
            told["json"] = values.json_of(value)
        except Exception:  # noqa: BLE001 - as above: the pickle has it
            told.pop("json", None)
        return told


@frozen
class RunResult:
    """What a run came to, as its place told it. Nothing is unpickled until somebody asks for it."""

    described: dict[str, Any]
    pickles: bytes

    @classmethod
    def of(cls, flow: Flow, state: State) -> tuple[RunResult, list[str]]:
        """Return what a flow's run came to, and lines on what of it stays behind, or had better."""
        packing = _Packing()
        slugs = flow.slugs
        reference = set(flow.reference_tasks())
        found = state.result if isinstance(state.result, dict) else {}
        tasks = [
            {"task": slugs[task], "name": task.name}
            | packing.record(of_task, slugs[task], with_value=task in reference)
            for task, of_task in found.items()
        ]
        described = {
            "flow": flow.name,
            "state": kind_name(state),
            "message": _masked(state.message),
            "tasks": tasks,
        }
        made = cls(described, bytes(packing.pickles))
        if is_masking() and holds_secret(made._body()):
            packing.behind.append(
                "The result holds a secret's value, which a task returned: keep it as you keep the secret"
            )
        return made, packing.behind

    def to_bytes(self, key: str) -> bytes:
        """Return what `read` reads.

        Args:
            key: any text, which the reader has as well.
        """
        body = self._body()
        return _mac(body, key) + b"\n" + body

    def _body(self) -> bytes:
        return json.dumps(self.described, separators=(",", ":")).encode() + b"\n" + self.pickles

    @classmethod
    def read(cls, data: bytes, key: str) -> RunResult:
        """Read what `to_bytes` returned.

        Raises:
            ArtifactError: another run than the one with this key made it, or it is malformed.
        """
        mac, _, rest = data.partition(b"\n")
        if not hmac.compare_digest(mac, _mac(rest, key)):
            raise ArtifactError(
                "What lies where the run's result should be was not made by this run: it is not read"
            )
        line, _, pickles = rest.partition(b"\n")
        try:
            if len(line) > _LARGEST_JSON:
                raise ValueError("it is too large")  # noqa: TRY301
            return cls(_checked(json.loads(line), len(pickles)), pickles)
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"The run's result is malformed: {error}") from error

    def is_successful(self) -> bool:
        """Tell whether the flow succeeded."""
        kind: type[State] = KINDS[self.described["state"]]
        return kind().is_successful()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values: "result" of a task, or "lacks" with the reason."""
        tasks = [self._shown(task) for task in self.described["tasks"]]
        return {**self.described, "tasks": tasks}

    def without_json(self) -> list[str]:
        """Return the names of the values that a pickle alone carries."""
        return sorted(
            {where for where, told in self._told() if "pickle" in told and "json" not in told}
        )

    def to_pickle(self) -> bytes:
        """Return a pickle of a dict of the values by slugs, a list for a mapped task.

        Nothing is unpickled here: who loads it runs code of the flow's.
        """
        import pickle  # noqa: PLC0415 - for this alone

        def nested(task: dict[str, Any]) -> Any:
            if "children" in task:
                return [nested(child) for child in task["children"]]
            told = task.get("value", {"lacks": _NO_REFERENCE})
            if "pickle" in told:
                return values.Nested(self._pickle(told))
            return told.get("json")

        found = {task["task"]: nested(task) for task in self.described["tasks"] if _has(task)}
        return pickle.dumps(found, protocol=5)

    def to_state(self) -> State:
        """Return the flow's state, whose result has the tasks' states by their slugs.

        This unpickles values, and so runs code of the place that it comes from.
        """
        tasks = {task["task"]: self._state(task) for task in self.described["tasks"]}
        kind: type[State] = KINDS[self.described["state"]]
        return kind(self.described["message"], tasks)

    def _state(self, told: dict[str, Any]) -> State:
        kind: type[State] = KINDS[told["state"]]
        if "children" in told:
            children = [self._state(child) for child in told["children"]]
            has = [child.result for child in children]
            return Mapped(told["message"], has, children)
        made = kind(told["message"], self._value(told))
        if told.get("traceback") is not None:
            made.traceback = told["traceback"]
        return made

    def _value(self, told: dict[str, Any]) -> Any:
        value = told.get("value", {"lacks": _NO_REFERENCE})
        if "pickle" in value:
            try:
                return values.unpickled(self._pickle(value))
            except ArtifactError as error:
                value = {"lacks": str(error)}
        if "lacks" in value:
            if told.get("traceback") is not None:
                return RemoteTaskError(str(told["traceback"]).strip().splitlines()[-1])
            return NotCarried(value["lacks"])
        return value["json"]

    def _pickle(self, told: dict[str, Any]) -> bytes:
        start, size = told["pickle"]
        return self.pickles[start : start + size]

    def _shown(self, task: dict[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in task.items() if name not in {"value", "children"}}
        told = task.get("value")
        if told is not None and "json" in told:
            shown["result"] = told["json"]
        elif told is not None and task.get("traceback") is None:
            shown["lacks"] = told.get("lacks", "it has no JSON form: a result.pkl carries it")
        if "children" in task:
            shown["children"] = [self._shown(child) for child in task["children"]]
        return shown

    def _told(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for task in self.described["tasks"]:
            for each in task.get("children", [task]):
                if "value" in each and each.get("traceback") is None:
                    yield task["task"], each["value"]


def _has(task: dict[str, Any]) -> bool:
    """Tell whether a task has a value that is carried, or children that do."""
    if "children" in task:
        return any(_has(child) for child in task["children"]) or not task["children"]
    return "value" in task and "lacks" not in task["value"] and task.get("traceback") is None


def _mac(rest: bytes, key: str) -> bytes:
    return hmac.new(key.encode(), rest, hashlib.sha256).hexdigest().encode()


def _masked(text: str | None) -> str | None:
    return None if text is None else mask(text)


def _checked(told: Any, pickled: int) -> dict[str, Any]:
    """Return a description that has the form that the module's docstring tells, or refuse it."""
    try:
        _check_state({key: value for key, value in told.items() if key != "tasks"}, pickled)
        for task in told["tasks"]:
            if not (isinstance(task["task"], str) and isinstance(task["name"], str)):
                raise ValueError("a task has no name")  # noqa: TRY004
            _check_state(task, pickled)
            for child in task.get("children", ()):
                _check_state(child, pickled)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"its description is none: {error!r}") from error
    return dict(told)


def _check_state(each: Any, pickled: int) -> None:
    if str(each["state"]) not in KINDS:
        raise ValueError(f"{str(each['state'])[:50]!r} is no state")
    if not all(isinstance(each.get(name), str | None) for name in ("message", "traceback")):
        raise ValueError("a message is no text")
    value = each.get("value", {"lacks": ""})
    if not (isinstance(value, dict) and value.keys() & {"json", "pickle", "lacks"}):
        raise ValueError("a value is none")
    start, size = value.get("pickle", (0, 0))
    if not (type(start) is type(size) is int and 0 <= start <= start + size <= pickled):
        raise ValueError("a value lies outside of it")

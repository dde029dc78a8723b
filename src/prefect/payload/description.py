"""A serialized flow that anybody may have written: checked whole, so that nothing else has to.

Whoever shows, draws or compares a flow out of an artifact indexes what is checked here. The rules are
those of `Flow.serialize`; members that it does not write are left alone, for later releases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from prefect.core.serialization import SCHEMA, is_plain
from prefect.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Collection

_MOST_SECONDS = 1e12
_MOST_RETRIES = 2**63
_TEXT, _FLAG = (str,), (bool,)


def check_description(flow: Any) -> None:
    """Check a serialized flow as JSON gave it.

    Args:
        flow: plain JSON values, whatever they are.

    Raises:
        FormatError: it is not what `Flow.serialize` writes; the message says where.
    """
    if not isinstance(flow, dict):
        _refuse("it", "is no object")
    if type(flow.get("schema")) is not int:
        _refuse("schema", "is no number")
    if flow["schema"] != SCHEMA:
        raise FormatError(
            f"The manifest describes the flow by schema {flow['schema']}; this release of prefect "
            f"reads schema {SCHEMA}. Upgrade prefect here, or package the flow again"
        )
    _require(flow, "", "name", _TEXT)
    tasks = _tasks(flow)
    _edges(flow, tasks)
    _parameters(flow, tasks)
    for number, task in enumerate(_list(flow, "", "reference_tasks")):
        _known(task, tasks, f"reference_tasks[{number}]")
    _environment(flow.get("environment"))
    for name in ("executor", "result", "terminal_state_handler"):
        if not isinstance(flow.get(name, ""), str):
            _refuse(name, "is no text")
    _amounts(flow, "limits", "limits")
    _texts(flow, "state_handlers", "state_handlers")
    _schedule(flow.get("schedule"))


def _tasks(flow: dict[str, Any]) -> dict[str, int]:
    """Return the position of each task."""
    positions: dict[str, int] = {}
    for number, task in enumerate(_list(flow, "", "tasks")):
        where = f"tasks[{number}]"
        for name in ("id", "name", "type", "trigger"):
            _require(task, where, name, _TEXT)
        for name in ("skip_on_upstream_skip", "auto_generated"):
            _require(task, where, name, _FLAG)
        if not all(isinstance(tag, str) for tag in _list(task, where, "tags")):
            _refuse(f"{where}.tags", "has something else than text")
        _require(task, where, "max_retries", (int,))
        if not 0 <= task["max_retries"] < _MOST_RETRIES:
            _refuse(f"{where}.max_retries", "is no number of retries")
        for name in ("retry_delay", "timeout"):
            _require(task, where, name, (int, float, type(None)))
            if task[name] is not None and not 0 <= task[name] < _MOST_SECONDS:
                _refuse(f"{where}.{name}", "is no number of seconds")
        _few(task, where)
        if task["id"] in positions:
            _refuse(f"{where}.id", "is another task's as well")
        positions[task["id"]] = number
    return positions


def _few(task: dict[str, Any], where: str) -> None:
    """Check what few tasks have."""
    _amounts(task, "resources", f"{where}.resources")
    for name in ("state_handlers", "retry_on"):
        _texts(task, name, f"{where}.{name}")
    for name in ("at_most_once", "log_stdout", "cache", "checkpoint"):
        if not isinstance(task.get(name, False), bool):
            _refuse(f"{where}.{name}", "is neither true nor false")
    for name in ("cache_key", "task_run_name", "result"):
        if not isinstance(task.get(name, ""), str):
            _refuse(f"{where}.{name}", "is no text")
    if type(task.get("cache_for", 0)) not in {int, float} or not (
        0 <= task.get("cache_for", 0) < _MOST_SECONDS
    ):
        _refuse(f"{where}.cache_for", "is no number of seconds")


def _amounts(entry: dict[str, Any], name: str, where: str) -> None:
    found = entry.get(name, {})
    if not isinstance(found, dict) or any(type(each) is not int for each in found.values()):
        _refuse(where, "is no object of whole numbers")


def _texts(entry: dict[str, Any], name: str, where: str) -> None:
    found = entry.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        _refuse(where, "is no list of texts")


def _schedule(schedule: Any) -> None:
    if schedule is None:
        return
    from prefect.schedules.described import told  # noqa: PLC0415 - few flows have one

    try:
        told(schedule)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        _refuse("schedule", "cannot be read")


def _edges(flow: dict[str, Any], tasks: dict[str, int]) -> None:
    for number, edge in enumerate(_list(flow, "", "edges")):
        where = f"edges[{number}]"
        _require(edge, where, "mapped", _FLAG)
        _require(edge, where, "key", (str, type(None)))
        for end in ("upstream", "downstream"):
            _known(edge.get(end), tasks, f"{where}.{end}")
        # Tasks stand in the order in which they can run, which no circle has.
        if tasks[edge["upstream"]] >= tasks[edge["downstream"]]:
            _refuse(where, "leads back to an earlier task")


def _parameters(flow: dict[str, Any], tasks: dict[str, int]) -> None:
    names = set()
    for number, parameter in enumerate(_list(flow, "", "parameters")):
        where = f"parameters[{number}]"
        _require(parameter, where, "name", _TEXT)
        _require(parameter, where, "required", _FLAG)
        _known(parameter["name"], tasks, f"{where}.name")
        if "default" not in parameter or not is_plain(parameter["default"]):
            _refuse(f"{where}.default", "is no plain value")
        if not isinstance(parameter.get("default_repr", ""), str):
            _refuse(f"{where}.default_repr", "is no text")
        if not isinstance(parameter.get("type", ""), str):
            _refuse(f"{where}.type", "is no text")
        if not isinstance(parameter.get("nullable", False), bool):
            _refuse(f"{where}.nullable", "is neither true nor false")
        choices = parameter.get("choices", [])
        if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
            _refuse(f"{where}.choices", "is no list of texts")
        if parameter["name"] in names:
            _refuse(f"{where}.name", "is another parameter's as well")
        names.add(parameter["name"])


def _environment(environment: Any) -> None:
    if environment is None:
        return
    _require(environment, "environment", "type", _TEXT)
    if not all(isinstance(s, str) for s in _list(environment, "environment", "secrets")):
        _refuse("environment.secrets", "has something else than text")
    if not isinstance(environment.get("image", ""), str):
        _refuse("environment.image", "is no text")


def _list(entry: dict[str, Any], where: str, name: str) -> list[Any]:
    _require(entry, where, name, (list,))
    found: list[Any] = entry[name]
    return found


def _require(entry: Any, where: str, name: str, kinds: tuple[type, ...]) -> None:
    if not isinstance(entry, dict):
        _refuse(where, "is no object")
    # By type(): a bool is an int, and JSON's true no number of retries.
    if name not in entry or type(entry[name]) not in kinds:
        _refuse(f"{where}.{name}".lstrip("."), "is missing, or of another type than it has to be")


def _known(task: Any, tasks: Collection[str], where: str) -> None:
    if not isinstance(task, str) or task not in tasks:
        _refuse(where, "names no task of the flow")


def _refuse(where: str, what: str) -> NoReturn:
    raise FormatError(f"The manifest's description of the flow is malformed: {where} {what}")

"""A flow as plain JSON values: what is shown of it, and compared, without executing anything."""

from __future__ import annotations

from prefect.core.own import has_handlers
from prefect.core.parameter_check import expected_by
from prefect.core.value_types import TYPES_BY_NAME, json_form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from prefect.core.flow import Flow
    from prefect.core.parameter import Parameter
    from prefect.core.parameter_check import Expected
    from prefect.core.task import Task
    from prefect.core.value_types import ValueType

SCHEMA = 1
"""Version of the description's form; counts up when a reader of the old one would go wrong."""

REPR_LENGTH = 200
_LARGEST = 2**63
_DEEPEST = 50


def serialize_flow(flow: Flow) -> dict[str, Any]:
    """Describe a valid flow; `Flow.serialize` validates it first.

    Constants are left out: they may be large, or secret.
    """
    slugs = flow.slugs
    executor = executor_text(flow)
    return {
        "schema": SCHEMA,
        "name": flow.name,
        "parameters": [
            _parameter(parameter, expected)
            for parameter, expected in zip(flow.parameters(), expected_by(flow), strict=True)
        ],
        "tasks": [_task(task, slugs[task]) for task in flow.sorted_tasks()],
        "edges": [
            {"upstream": slugs[up], "downstream": slugs[down], "key": key, "mapped": mapped}
            for up, down, key, mapped in flow.edges
        ],
        "reference_tasks": [slugs[task] for task in flow.reference_tasks()],
        "environment": None if flow.environment is None else flow.environment.serialize(),
        **({} if executor is None else {"executor": executor}),
        **({} if flow.schedule is None else {"schedule": flow.schedule.serialize()}),
        **_more_of_flow(flow),
    }


def _more_of_flow(flow: Flow) -> dict[str, Any]:
    """Return those settings that few flows have, of those alone that this one has."""
    more: dict[str, Any] = {}
    if flow.limits:
        more["limits"] = flow.limits
    if flow.stored_in is not None:
        more["result"] = _without_user(flow.stored_in)
    if flow.state_handlers:
        more["state_handlers"] = [_named(each) for each in flow.state_handlers]
    if flow.terminal_state_handler is not None:
        more["terminal_state_handler"] = _named(flow.terminal_state_handler)
    return more


def executor_text(flow: Flow) -> str | None:
    """Return the text form of a flow's own executor; None where it has none of either."""
    if flow.executor is None:
        return None
    from prefect.core.executor_text import text_of  # noqa: PLC0415  # seldom needed

    return text_of(flow.executor)


def _task(task: Task, slug: str) -> dict[str, Any]:
    delay = task.retry_delay
    trigger = task.trigger
    return {
        "id": slug,
        "name": task.name,
        "type": task._type_name,  # noqa: SLF001  # of this package
        "tags": sorted(task.tags),
        "max_retries": task.max_retries,
        "retry_delay": None if delay is None else delay.total_seconds(),
        "timeout": task.timeout,
        "trigger": _trigger(trigger),
        "skip_on_upstream_skip": task.skip_on_upstream_skip,
        "auto_generated": task.auto_generated,
        **_more_of_task(task),
    }


def _more_of_task(task: Task) -> dict[str, Any]:
    """Return those settings that few tasks have, of those alone that this one has."""
    found = {
        "resources": task.resources,
        "at_most_once": task.at_most_once or None,
        "log_stdout": task.log_stdout or None,
        "state_handlers": [_named(each) for each in task.state_handlers]
        if has_handlers(task)
        else None,
        "cache": task.cache or None,
        "cache_for": task.cache_for and task.cache_for.total_seconds(),
        "cache_key": _text(task.cache_key),
        "checkpoint": False if task.checkpoint is False else None,
        "retry_on": task.retry_on and [_named(each) for each in task.retry_on],
        "task_run_name": _text(task.task_run_name),
        "result": task.stored_in and _without_user(task.stored_in),
    }
    return {name: value for name, value in found.items() if value is not None}


def _trigger(trigger: Any) -> str:
    name: str = getattr(trigger, "__name__", type(trigger).__name__)
    bounds = [(each, getattr(trigger, each, None)) for each in ("at_least", "at_most")]
    told = ", ".join(f"{each}={bound}" for each, bound in bounds if bound is not None)
    return f"{name}({told})" if told else name


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else _named(value)


def _named(function: Any) -> str:
    """Return the name of a function, a class, or what is called like one."""
    inner = getattr(function, "function", function)  # of on_failure and on_success
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return str(name) if inner is function else f"{type(function).__name__}({name})"


def _without_user(where: str) -> str:
    """Return a directory or a URL, also one of several, without users, passwords and queries that it may have."""
    return "::".join(map(_without_user_alone, where.split("::")))


def _without_user_alone(where: str) -> str:
    start, slashes, rest = where.partition("://")
    if not slashes:
        return where
    rest = rest.partition("?")[0]
    host = rest.partition("/")[0]
    # A password may have a slash; what follows the colon of a host is a number.
    _, colon, port = host.partition(":")
    if "@" in host:
        rest = rest.removeprefix(host[: host.rindex("@") + 1])
    elif colon and "@" in rest and not port.isdigit():
        rest = rest[rest.index("@") + 1 :]
    return f"{start}{slashes}{rest}"


def _parameter(parameter: Parameter, expected: Expected) -> dict[str, Any]:
    described = {"name": parameter.name, "required": parameter.required, "default": None}
    default = parameter.default
    if is_plain(default):
        described["default"] = default
    elif (form := _exact_form(expected.type, default)) is not None:
        described["default"] = form
    else:
        described["default_repr"] = stable_repr(default)
    if expected.type is not None:
        described["type"] = expected.type.name
        if expected.type.choices is not None:
            described["choices"] = expected.type.choices
        if expected.nullable:
            described["nullable"] = True
    return described


def _exact_form(kind: ValueType | None, value: Any) -> Any:
    """Return the plain value of which a type makes one that is equal; None where there is none."""
    if isinstance(value, tuple):
        form: Any = list(value)
    elif isinstance(value, set | frozenset):
        form = sorted(value, key=repr)  # in the same order in each process
    else:
        form = value if isinstance(value, list | dict) else json_form(value)
    try:
        return form if kind and is_plain(form) and kind.convert(form) == value else None
    except (ValueError, TypeError, ArithmeticError):
        return None


def default_text(parameter: Mapping[str, Any]) -> str:
    """Return a serialized parameter's default as `-p` takes it; one that JSON lacks, by its repr."""
    import json  # noqa: PLC0415  # for people alone

    if "default_repr" in parameter:
        return str(parameter["default_repr"])
    value, kind = parameter["default"], TYPES_BY_NAME.get(parameter.get("type"))
    is_text = "choices" in parameter or (kind is not None and kind.is_text and kind.name != "str")
    if is_text and isinstance(value, str) and value not in {"", "null"} and value[0] != '"':
        return value
    return json.dumps(value, ensure_ascii=False)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether JSON gives the value back just as it is."""
    kind = type(value)
    if kind is int:
        return bool(-_LARGEST <= value < _LARGEST)
    if kind is float:
        return bool(value - value == 0)  # neither infinite nor a NaN
    if kind is list:
        return depth < _DEEPEST and all(is_plain(item, depth + 1) for item in value)
    if kind is dict:
        return depth < _DEEPEST and all(
            type(key) is str and is_plain(item, depth + 1) for key, item in value.items()
        )
    return value is None or kind is bool or kind is str


def stable_repr(value: Any) -> str:
    """Return the start of a value's repr, the same in every process.

    Sets are sorted, and the memory addresses in the reprs of plain objects removed.
    """
    import re  # noqa: PLC0415  # seldom needed

    try:
        text = _repr(value, 0)
    except Exception:  # noqa: BLE001  # a repr is anybody's code
        text = f"<{type(value).__name__}>"
    text = re.sub(r" at 0x[0-9A-Fa-f]+", "", text)
    return text if len(text) <= REPR_LENGTH else text[: REPR_LENGTH - 3] + "..."


def _repr(value: Any, depth: int) -> str:  # noqa: PLR0911 - one for each kind
    kind = type(value)
    if depth > _DEEPEST:
        return "..."
    if kind is dict:
        items = (f"{_repr(k, depth + 1)}: {_repr(v, depth + 1)}" for k, v in value.items())
        return f"{{{_some(items)}}}"
    if kind is list:
        return f"[{_some(_repr(item, depth + 1) for item in value)}]"
    if kind is tuple:
        comma = "," if len(value) == 1 else ""
        return f"({_some(_repr(item, depth + 1) for item in value)}{comma})"
    if kind in (set, frozenset) and value:
        text = f"{{{_some(sorted(_repr(item, depth + 1) for item in value))}}}"
        return text if kind is set else f"frozenset({text})"
    if hasattr(vars(kind).get("__repr__"), "__wrapped__") and hasattr(kind, "__dataclass_fields__"):
        # Not a repr of its own, but the one that `dataclasses` writes.
        from dataclasses import fields  # noqa: PLC0415, TID251  # slow to import, and the value is the user's

        shown = [field.name for field in fields(value) if field.repr]
        parts = (f"{name}={_repr(getattr(value, name), depth + 1)}" for name in shown)
        return f"{kind.__qualname__}({_some(parts)})"
    return repr(value)


def _some(reprs: Any) -> str:
    """Join reprs until they are more than will be shown."""
    parts: list[str] = []
    length = 0
    for text in reprs:
        parts.append(text)
        length += len(text) + 2
        if length > REPR_LENGTH:
            break
    return ", ".join(parts)

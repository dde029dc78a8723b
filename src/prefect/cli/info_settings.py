"""The settings of a flow and its tasks, as `prefect info` tells them: those that are not as usual."""

from __future__ import annotations

from typing import Any

_LONGEST_LIST = 8
_FEW = {
    "resources": "resources", "at_most_once": "at most once", "cache": "cached", "cache_for": "cached for",
    "cache_key": "cached by", "checkpoint": "not stored", "result": "result in", "task_run_name": "run name",
    "state_handlers": "state handlers", "log_stdout": "logs its output",
}  # fmt: skip
"""What few tasks have, where they have it, and what is said of it."""


def settings_of_flow(flow: dict[str, Any]) -> dict[str, str]:
    """Return what a flow says of its runs, as far as it says anything."""
    handlers = [*flow.get("state_handlers", ()), flow.get("terminal_state_handler")]
    found = {
        "limits": _amounts(flow.get("limits", {})),
        "decided by": some(flow["reference_tasks"]),
        "results in": flow.get("result", ""),
        "state handlers": ", ".join(filter(None, handlers)),
    }
    return {name: text for name, text in found.items() if text}


def _amounts(amounts: dict[str, int]) -> str:
    return ", ".join(f"{name}={amount}" for name, amount in amounts.items())


def settings_of_task(task: dict[str, Any]) -> list[str]:
    """Return what a described task has set, each setting as a few words."""
    settings = []
    if task["max_retries"]:
        delay = f" after {task['retry_delay']:g} s" if task["retry_delay"] else ""
        only = f" on {', '.join(task['retry_on'])}" if "retry_on" in task else ""
        settings.append(f"{task['max_retries']} retries{delay}{only}")
    if task["timeout"]:
        settings.append(f"timeout {task['timeout']:g} s")
    if task["trigger"] != "all_successful":
        settings.append(task["trigger"])
    if not (task["skip_on_upstream_skip"] or task["auto_generated"]):
        settings.append("skip_on_upstream_skip=False")
    settings += [f"tag {tag}" for tag in task["tags"]]
    settings += [_few(name, task[name]) for name in _FEW if _is_said(name, task.get(name))]
    return settings


def _is_said(name: str, value: Any) -> bool:
    """Tell whether a setting is another one than most tasks have."""
    if isinstance(value, bool):
        return value is not (name == "checkpoint")
    return value not in (None, {}, [])


def _few(name: str, value: Any) -> str:
    told = _FEW[name]
    if isinstance(value, bool):
        return told
    if name == "cache_for":
        return f"{told} {value:g} s"
    if isinstance(value, dict):
        return f"{told} {_amounts(value)}"
    return f"{told} {', '.join(value) if isinstance(value, list) else value}"


def some(names: list[str]) -> str:
    """Return names as a text, the first of them where they are many."""
    more = len(names) - _LONGEST_LIST
    return ", ".join(names[:_LONGEST_LIST]) + (f", and {more} more" if more > 0 else "")

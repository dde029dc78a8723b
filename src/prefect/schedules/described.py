"""Schedules as plain JSON values, and back: what a manifest has of them, for who reads it without the flow."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import partial

from prefect.core.serialization import is_plain, stable_repr
from prefect.errors import FlowError
from prefect.schedules import adjustments, clocks, filters
from prefect.schedules.moments import aware, moment_of, text_of
from prefect.schedules.schedules import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any

_KINDS = ("filters", "or_filters", "not_filters", "adjustments")
_HOMES: dict[str, ModuleType] = {
    "filters": filters,
    "or_filters": filters,
    "not_filters": filters,
    "adjustments": adjustments,
}


def described(schedule: Schedule) -> dict[str, Any]:
    """Describe a schedule; what cannot be read back is under "function" or "type" alone."""
    found: dict[str, Any] = {"clocks": [_clock(each) for each in schedule.clocks]}
    for kind in _KINDS:
        if functions := getattr(schedule, kind):
            found[kind] = [_function(each, _HOMES[kind]) for each in functions]
    return found


def restored(description: Mapping[str, Any]) -> Schedule:
    """Return the schedule that was described.

    Raises:
        FlowError: it has clocks or functions of its own, which are in the flow alone, or is none.
    """
    try:
        return Schedule(
            [_clock_of(each) for each in description["clocks"]],
            **{
                kind: [_function_of(each, _HOMES[kind]) for each in description.get(kind, ())]
                for kind in _KINDS
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, FlowError):
            raise
        raise FlowError(f"The description of the schedule cannot be read: {error}") from error


def told(description: Mapping[str, Any]) -> str:
    """Say in a few words what a described schedule is."""
    parts = [_clock_told(each) for each in description.get("clocks", ())]
    for kind, word in zip(_KINDS, ("if", "if one of", "if not", "then"), strict=True):
        if names := [each.get("name", each.get("function")) for each in description.get(kind, ())]:
            parts.append(f"{word} {', '.join(names)}")
    return "; ".join(parts)


def _clock_told(clock: Mapping[str, Any]) -> str:
    start, end = clock.get("start_date", ""), clock.get("end_date", "")
    match clock.get("type"):
        case "IntervalClock":
            text = f"every {timedelta(seconds=clock['interval'])}"
        case "CronClock":
            text = f"cron {clock['cron']}{'' if clock['day_or'] else ', on days that are both'}"
        case "DatesClock":
            text = f"on {len(clock['dates'])} dates"
        case other:
            text = str(other)
    text += f" from {start}" if start else ""
    text += f" until {end}" if end else ""
    defaults = clock.get("parameter_defaults", {})
    return text + "".join(f", {name}={value!r}" for name, value in defaults.items())


def _clock(clock: clocks.Clock) -> dict[str, Any]:
    kind = type(clock)
    found: dict[str, Any] = {"type": kind.__name__}
    if kind is clocks.IntervalClock:
        found["interval"] = clock.interval.total_seconds()  # type: ignore[attr-defined]  # of this kind
    elif kind is clocks.CronClock:
        found |= {"cron": clock.cron, "day_or": clock.day_or}  # type: ignore[attr-defined]  # of this kind
    elif kind is clocks.DatesClock:
        found["dates"] = [text_of(each) for each in clock.dates]  # type: ignore[attr-defined]  # of this kind
    else:
        found |= {"type": kind.__qualname__, "own": stable_repr(getattr(clock, "rrule_obj", clock))}
    if kind is not clocks.DatesClock:
        for name in ("start_date", "end_date"):
            if moment := getattr(clock, name, None):
                found[name] = text_of(moment)
    if defaults := getattr(clock, "parameter_defaults", None):
        plain = is_plain(defaults)
        found |= {
            "parameter_defaults" if plain else "parameter_defaults_repr": defaults
            if plain
            else stable_repr(defaults)
        }
    return found


def _clock_of(description: Mapping[str, Any]) -> clocks.Clock:
    if "own" in description or "parameter_defaults_repr" in description:
        raise FlowError(f"Its {description['type']} is in the flow alone, not in what describes it")
    given: dict[str, Any] = {
        name: moment_of(description[name])
        for name in ("start_date", "end_date")
        if name in description
    }
    more = {"parameter_defaults": description.get("parameter_defaults")}
    match description["type"]:
        case "IntervalClock":
            return clocks.IntervalClock(timedelta(seconds=description["interval"]), **given, **more)
        case "CronClock":
            return clocks.CronClock(
                description["cron"], **given, **more, day_or=description["day_or"]
            )
        case "DatesClock":
            return clocks.DatesClock([moment_of(each) for each in description["dates"]], **more)
    raise FlowError(f"There is no clock {description['type']!r}")


def _function(function: Any, home: ModuleType) -> dict[str, Any]:
    inner = function.func if isinstance(function, partial) else function
    name = getattr(inner, "__name__", "").lstrip("_")
    if getattr(inner, "__module__", "") != home.__name__ or not hasattr(home, name):
        return {"function": getattr(inner, "__qualname__", type(inner).__name__)}
    if not isinstance(function, partial):
        return {"name": name}
    return {"name": name, "arguments": [_plain(each) for each in function.args]}


def _function_of(description: Mapping[str, Any], home: ModuleType) -> Any:
    if "function" in description:
        raise FlowError(
            f"Its function {description['function']} is in the flow alone, not in what describes it"
        )
    name = description["name"]
    function = getattr(home, name, None)
    # Nothing else of the module may be called: a manifest is anybody's text.
    if name.startswith("_") or getattr(function, "__module__", "") != home.__name__:
        raise FlowError(f"There is no {name!r} in {home.__name__}")
    if "arguments" not in description:
        return function
    return function(*map(_unplain, description["arguments"]))  # type: ignore[misc]  # it is a function


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"moment": text_of(aware(value))}
    if isinstance(value, time):
        return {"time": value.isoformat()}
    return {"seconds": value.total_seconds()} if isinstance(value, timedelta) else value


def _unplain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, plain),) = value.items()
    if kind == "moment":
        return moment_of(plain)
    return time.fromisoformat(plain) if kind == "time" else timedelta(seconds=plain)

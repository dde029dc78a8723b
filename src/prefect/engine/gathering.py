"""What flows add to gather values: done by the coordinator, of values that are not there as well."""

from __future__ import annotations

from prefect.core.inputs import Dict, List, Tuple
from prefect.core.refs import Ref, as_dict, gathered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.task import Task

_KINDS: dict[type[Task], Any] = {List: list, Tuple: tuple, Dict: as_dict}


def is_gathering(task: Task) -> bool:
    """Tell whether a task makes a collection of what it gets, and needs to see none of that."""
    return type(task) in _KINDS


def gathered_here(task: Task, inputs: dict[str, Any]) -> tuple[Any] | None:
    """Return what such a task makes of its inputs; None where one has to be there for that: a key."""
    kind = _KINDS[type(task)]
    items = [inputs[str(index)] for index in range(len(inputs))]
    if kind is as_dict and any(isinstance(key, Ref) for key in items[::2]):
        return None
    return (gathered(items, kind),)

"""What the coordinator does by itself, rather than elsewhere: pass on values and gather them."""

from __future__ import annotations

from contextlib import suppress

from prefect.core.inputs import Dict, GetItem, List, Tuple
from prefect.core.parameter import works
from prefect.core.refs import Gathered, Ref, as_dict, gathered
from prefect.core.state import Success
from prefect.engine.job import run_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prefect.core.state import State
    from prefect.engine.job import Job

SUCCEEDED = "the task succeeded"
_FLAT: dict[Any, Any] = {List: list, Tuple: tuple, Dict: as_dict}


def done_here(job: Job) -> State | None:
    """Do a job here that flows have added, if what it needs is here or it only gathers values."""
    task = job.task
    if works(task):
        return None
    inputs = job.inputs
    if not any(isinstance(value, Ref) for value in inputs.values()):
        return run_job(job)
    if kind := _FLAT.get(type(task)):
        items = [inputs[str(index)] for index in range(len(inputs))]
        if kind is as_dict and any(isinstance(key, Ref) for key in items[::2]):
            return None
        return Success(SUCCEEDED, gathered(items, kind))
    if type(task) is GetItem and isinstance(found := inputs["task_result"], Gathered):
        with suppress(TypeError, IndexError, KeyError):
            return Success(SUCCEEDED, found.item(inputs["key"]))
    return None

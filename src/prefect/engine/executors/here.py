"""What the coordinator does by itself, rather than elsewhere: pass on values and gather them."""

from __future__ import annotations

from contextlib import suppress

from prefect.core.inputs import GetItem
from prefect.core.parameter import works
from prefect.core.refs import Gathered, Ref
from prefect.core.state import Success
from prefect.engine.gathering import gathered_here, is_gathering
from prefect.engine.job import run_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prefect.core.state import State
    from prefect.engine.job import Job

SUCCEEDED = "the task succeeded"


def done_here(job: Job) -> State | None:
    """Do a job here that flows have added, if what it needs is here or it only gathers values."""
    task = job.task
    if works(task):
        return None
    inputs = job.inputs
    if not any(isinstance(value, Ref) for value in inputs.values()):
        return run_job(job)
    if is_gathering(task):
        made = gathered_here(task, inputs)
        return None if made is None else Success(SUCCEEDED, made[0])
    if type(task) is GetItem and isinstance(found := inputs["task_result"], Gathered):
        with suppress(TypeError, IndexError, KeyError):
            return Success(SUCCEEDED, found.item(inputs["key"]))
    return None

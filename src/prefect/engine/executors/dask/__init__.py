"""Runs tasks on a Dask cluster, natively: each is a Dask future, whose value stays where it was made.

Alone in importing `distributed`, and only when it is used. `executor.py` connects, where `answering.py` finds
somebody, and `health.py` checks whom to.
`session.py` is the coordinator's side of a run: jobs go by `sending.py`, which pickles them, and `handing.py`; what they
return comes by `values.py`, and `losses.py` decides on what is lost. `worker.py` is what runs on the workers: `kept.py` is what they keep, `telling.py` what
they tell. `scheduler.py` is the little that a scheduler does for a run.
"""

from prefect.engine.executors.dask.executor import DaskExecutor
from prefect.engine.executors.local_dask import LocalDaskExecutor

__all__ = ["DaskExecutor", "LocalDaskExecutor"]

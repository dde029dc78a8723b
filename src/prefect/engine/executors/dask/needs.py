"""What tasks need of the workers of a cluster: Dask lets wait for ever, in silence, what none has any more."""

from __future__ import annotations

import logging
from time import monotonic

from prefect.engine.executors.dask.health import SAID_AFTER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from prefect.engine.executors.dask.health import Health
    from prefect.engine.job import Job

    Need = tuple[tuple[str, int], ...]


class Needs:
    """Knows it, and looks for what no worker has, in one run.

    Args:
        health: knows what each worker has, and how long to wait for one that has what is needed.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._untold: set[str] = set()  # resources that no worker tells of
        self._since: dict[Need, float] = {}
        self._said: set[Need] = set()

    def known(self, name: str, amount: int) -> bool | None:
        """Tell whether a worker has so much of a resource, or there is none yet, and one may; None for neither.

        What no worker tells of binds no job to a worker: it would wait there for ever.
        """
        workers = self._health.workers()
        there = [each["resources"][name] for each in workers if name in each.get("resources", ())]
        if workers and not there:
            self._untold.add(name)
            return None
        return not workers or max(there) >= amount

    def of(self, job: Job) -> Need:
        """Return what a worker has to have for a job."""
        resources = job.task.resources or {}
        return tuple(sorted(each for each in resources.items() if each[0] not in self._untold))

    def given_up(self, needs: set[Need]) -> dict[Need, str]:
        """Return what no worker has had for too long, with what to say of it; say first that it is waited for.

        Args:
            needs: of tasks that wait.
        """
        moment, limit, address = monotonic(), self._health.worker_timeout, self._health.address
        there = self._health.resources
        unmet = {need for need in needs if not any(_has(worker, need) for worker in there)}
        self._since = {need: self._since.get(need, moment) for need in unmet}
        self._said &= unmet
        found = {}
        for need, since in self._since.items():
            waited = moment - since
            what = " ".join(f"{name}={amount}" for name, amount in need)
            how = f"`dask worker {address} --resources '{what}'`"
            if limit is not None and waited >= limit:
                found[need] = (
                    f"the Dask cluster at {address} has had no worker with {what} for {waited:.0f} s: "
                    f"start one with {how}, or let DaskExecutor(worker_timeout=...) wait longer"
                )
            elif waited >= SAID_AFTER and need not in self._said:
                self._said.add(need)
                logging.getLogger("prefect").warning(
                    "the Dask cluster at %s has no worker with %s any more, for which tasks wait: start one with "
                    "%s%s", address, what, how, "" if limit is None else f"; gives up after {limit:g} s",
                )  # fmt: skip
        return found


def _has(worker: Mapping[str, float], need: Need) -> bool:
    return all(worker.get(name, 0) >= amount for name, amount in need)

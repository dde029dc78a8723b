"""What tasks need that no worker of a cluster has any more: Dask lets them wait for ever, in silence."""

from __future__ import annotations

import logging
from time import monotonic

from prefect.engine.executors.dask.health import SAID_AFTER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Need = tuple[tuple[str, int], ...]


class Needs:
    """Looks for them, in one run.

    Args:
        address: of the scheduler.
        worker_timeout: seconds to wait for a worker that has what is needed; None for ever.
    """

    def __init__(self, address: str, worker_timeout: float | None) -> None:
        self._address = address
        self._worker_timeout = worker_timeout
        self._since: dict[Need, float] = {}
        self._said: set[Need] = set()

    def given_up(self, needs: set[Need], workers: Iterable[Mapping[str, float]]) -> dict[Need, str]:
        """Return what no worker has had for too long, with what to say of it; say first that it is waited for.

        Args:
            needs: of tasks that wait.
            workers: what each worker has.
        """
        moment = monotonic()
        there = list(workers)
        unmet = {need for need in needs if not any(_has(worker, need) for worker in there)}
        self._since = {need: self._since.get(need, moment) for need in unmet}
        self._said &= unmet
        found = {}
        for need, since in self._since.items():
            waited = moment - since
            what = " ".join(f"{name}={amount}" for name, amount in need)
            how = f"`dask worker {self._address} --resources '{what}'`"
            if self._worker_timeout is not None and waited >= self._worker_timeout:
                found[need] = (
                    f"the Dask cluster at {self._address} has had no worker with {what} for {waited:.0f} s: "
                    f"start one with {how}, or let DaskExecutor(worker_timeout=...) wait longer"
                )
            elif waited >= SAID_AFTER and need not in self._said:
                self._said.add(need)
                limit = self._worker_timeout
                logging.getLogger("prefect").warning(
                    "the Dask cluster at %s has no worker with %s any more, for which tasks wait: start one with "
                    "%s%s", self._address, what, how, "" if limit is None else f"; gives up after {limit:g} s",
                )  # fmt: skip
        return found


def _has(worker: Mapping[str, float], need: Need) -> bool:
    return all(worker.get(name, 0) >= amount for name, amount in need)

"""Hands the jobs of a run over to a Dask cluster, those together that come together."""

from __future__ import annotations

import warnings
from itertools import groupby

from distributed import Future

from prefect.engine.executors.dask import worker
from prefect.engine.executors.dask.sending import Packing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from prefect.engine.executors.dask.calls import Call
    from prefect.engine.executors.dask.needs import Need
    from prefect.engine.executors.dask.sending import Parcel
    from prefect.engine.executors.local_modules import LocalModules
    from prefect.engine.job import Job

    Going = tuple[Call, Parcel]

LAST = 8
"""For how much code of async jobs plain ones wait that are sent after them."""


class Handing:
    """What is to go to the cluster.

    Args:
        client: connected to it.
        run: the name of the run, and what else its jobs need to know of it.
        numbers: for keys.
        needed: tells what a worker has to have for a job.
        local: see `Packing`.
    """

    def __init__(
        self,
        client: Any,
        run: tuple[str, str, int, bool],
        numbers: Iterator[int],
        needed: Callable[[Job], Need],
        local: LocalModules | None = None,
    ) -> None:
        self._client = client
        self._run = run
        self._needed = needed
        self._packing = Packing(client, run[0], numbers, local)
        self._waiting: list[Going] = []
        self._coming: dict[Any, Any] = {}  # futures of the code of async jobs

    def add(self, call: Call) -> None:
        """Pickle a job, to go together with what else there is; raise whatever an object's pickling does."""
        self._waiting.append((call, self._packing.pack(call.job)))

    def withdraw(self, call: Call) -> None:
        """Have a job not go, if it has not gone yet."""
        self._waiting = [each for each in self._waiting if each[0] is not call]

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def clear(self) -> None:
        """Let go of what was sent."""
        self._packing.clear()

    def over(self) -> Iterator[tuple[list[Call], Exception | None]]:
        """Hand the jobs over that have gathered; yield those that the cluster has then, or why it has not.

        Those that take no place there for long come first, and then those that use up values; last, those
        that wait for others.
        """
        waiting, self._waiting = self._waiting, []
        self._hold_back(waiting)
        kinds: dict[tuple[bool, bool, str], list[Going]] = {}
        ahead: list[Going] = []
        for each in waiting:
            call, parcel = each
            if call.is_ahead():
                ahead.append(each)
                continue
            resources = call.job.task.resources
            alike = repr(sorted(resources.items())) if resources else ""
            kinds.setdefault((call.awaits, bool(parcel.references), alike), []).append(each)
        for (awaits, uses_values, _), jobs in sorted(kinds.items(), reverse=True):
            yield self._map(jobs, 2 if awaits else int(uses_values), awaits=awaits)
        # In their order: each may wait for any before it.
        for awaits, group in groupby(ahead, key=lambda each: each[0].awaits):
            yield self._map([*group], 2 if awaits else 1, awaits=awaits)

    def _hold_back(self, waiting: list[Going]) -> None:
        """Have plain jobs wait for the code that async ones wait for.

        Else one might take the only thread of a worker, for as long as it runs, while that is on its way.
        """
        coming = self._coming
        for call, parcel in waiting:
            if call.awaits:
                for each in (parcel.step, parcel.context):
                    if isinstance(each, Future):
                        coming[each.key] = each
        if not coming:
            return
        coming = {key: each for key, each in coming.items() if each.status == "pending"}
        self._coming = coming
        last = [*coming.values()][-LAST:]  # they come in this order
        for call, parcel in waiting:
            if not call.awaits:
                parcel.references.extend(last)

    def _map(
        self, jobs: list[Going], priority: int, *, awaits: bool
    ) -> tuple[list[Call], Exception | None]:
        calls, parcels = [call for call, _ in jobs], [parcel for _, parcel in jobs]
        keys = [call.key(self._run[0]) for call in calls]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            try:
                futures: list[Any] = self._client.map(
                    worker.await_for_run if awaits else worker.work_for_run,
                    [self._run] * len(jobs),
                    [call.number for call in calls],
                    [parcel.step for parcel in parcels],
                    [parcel.context for parcel in parcels],
                    [parcel.payload for parcel in parcels],
                    [parcel.references for parcel in parcels],
                    *([keys] if awaits else []),
                    key=keys,
                    pure=False,
                    priority=priority,
                    resources=dict(self._needed(calls[0].job)) or None,
                )
            except Exception as error:  # noqa: BLE001  # the client has been closed, for example
                return calls, error
        for call, future in zip(calls, futures, strict=True):
            call.future = future
        return calls, None

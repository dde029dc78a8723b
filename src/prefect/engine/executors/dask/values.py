"""Brings values here that lie on the workers of a Dask cluster, and takes them apart there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count

from prefect.core.tracebacks import describe
from prefect.engine.executors.dask.kept import item, opened
from prefect.engine.executors.dask.refs import ClusterRef, gather_here
from prefect.errors import ResultUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from prefect.engine.executors.dask.health import Health

LOOK = 0.5
"""Seconds of waiting for a value after which it is seen to whether the cluster is still there."""


class Values:
    """The values of one run.

    Args:
        client: connected to the cluster.
        health: tells whether that is still there.
        run: the run's name.
    """

    def __init__(self, client: Any, health: Health, run: str) -> None:
        self._client = client
        self._health = health
        self._run = run
        self._numbers = count()
        self.closed = False

    def fetch(self, ref: ClusterRef) -> Any:
        """Return a value from where it lies.

        Raises:
            ResultUnavailableError: it is lost, or the cluster is gone.
        """
        return self._gather([ref])[0]

    def prefetch(self, held: Iterable[Any]) -> None:
        """Bring values here, all at once, that are to outlive the cluster."""
        found = [each for each in gather_here(held) if not each.is_here]
        if found:
            with suppress(ResultUnavailableError):  # who reads it will meet it again
                for ref, value in zip(found, self._gather(found), strict=True):
                    ref.set(value)

    def _gather(self, refs: list[ClusterRef]) -> list[Any]:
        if self.closed:
            raise ResultUnavailableError(
                "This value was on a Dask cluster that the run has left: keep the values of all tasks "
                'with flow.run(results="all"), or make this task one of the reference tasks'
            )
        futures = [ref.future for ref in refs]

        async def gather() -> Any:
            return await self._client.gather(futures, asynchronous=True)

        waiting = asyncio.run_coroutine_threadsafe(gather(), self._client.loop.asyncio_loop)
        while True:
            try:
                return [opened(each) for each in waiting.result(timeout=LOOK)]
            except TimeoutError:
                if not waiting.done() and (broken := self._health.look(busy=True)) is None:
                    continue
                waiting.cancel()
                raise ResultUnavailableError(f"The value cannot be fetched: {broken}") from None
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise ResultUnavailableError(
                    f"The value cannot be fetched from the cluster: {describe(error)}"
                ) from error

    def split(self, ref: ClusterRef) -> list[Any]:
        """Return references to the items of a value, each of which is taken out where it lies."""
        name = (f"prefect-item-{self._run}", next(self._numbers))
        keys = [(f"{name[0]}-{name[1]}", index) for index in range(ref.length)]
        futures = self._client.map(
            item, [ref.future] * ref.length, range(ref.length), key=keys, pure=False
        )
        share = ref.nbytes // max(1, ref.length)
        return [ClusterRef(self, each, share, -1, None) for each in futures]

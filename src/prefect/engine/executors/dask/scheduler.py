"""The little that a scheduler does for a run. It is sent by value: a scheduler needs no package of ours."""

from __future__ import annotations

import pickle
from contextlib import suppress

from distributed import SchedulerPlugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


OVER = "over"
"""The event of a run that has come to its end, with all of its jobs."""
ONCE = "done once"
"""The event of a job that is done, and may not run again."""
GATHERED = 0.02
"""Seconds for which news is gathered for the run's client while the cluster has enough to do."""
ENOUGH = 4
"""How many jobs for each thread of the workers that is."""


def plugin_for(topic: str, owner: str, stop: bytes) -> SchedulerPlugin:  # noqa: C901  # several functions
    """Return what is registered with a scheduler for one run.

    Dask runs a task again, and says nothing of it, when its worker died. Whether one may run again is
    for the run to say: it hears of the first death. What has been done, and is done again because its value was lost,
    may outlive as many deaths as Dask lets it. Neither are events kept that have been told. While many jobs
    are there, and nobody waits for what the client does next, it gets its news together: else it would be
    woken for each. And where the run's process is gone before its end, its jobs are ended.

    Args:
        topic: of the run's events; its keys bear it, too.
        owner: the run's client; what is left of the run goes when it does.
        stop: the function, pickled, that ends its jobs on a worker.
    """
    once, ends = ONCE, frozenset({"done", ONCE, "ended"})
    over, gathered, enough, arguments = OVER, GATHERED, ENOUGH, pickle.dumps((topic,))

    class Run(SchedulerPlugin):  # within a function, so that it is pickled by value
        name = topic
        over = False
        at_once = 0.002  # seconds, as Dask has it

        async def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler
            self.jobs: dict[int, Any] = {}  # that have not ended: their keys, by number
            if owner in scheduler.client_comms:
                self.at_once = scheduler.client_comms[owner].interval

        def update_graph(self, scheduler: Any, *, keys: Any, **_: Any) -> None:
            ours = [key for key in keys if str(key[0]).endswith(f"-job-{topic}")]
            for task in filter(None, map(scheduler.tasks.get, ours)):
                task.suspicious = max(task.suspicious, scheduler.allowed_failures)
            there = scheduler.tasks  # without what was withdrawn, or lost
            self.jobs = {number: key for number, key in self.jobs.items() if key in there}
            self.jobs.update((key[1], key) for key in ours)
            self.pace()

        def log_event(self, told: str, event: Any) -> None:
            if told == topic:
                self.over = self.over or event == over
                if event != over:
                    for number, kind, *_ in event[1]:
                        key = self.jobs.pop(number, None) if kind in ends else None
                        task = self.scheduler.tasks.get(key)
                        if task is not None and kind != once:
                            task.suspicious = 0
                    self.pace()
                with suppress(AttributeError):  # in releases that keep events elsewhere
                    self.scheduler._broker.truncate(topic)  # noqa: SLF001  # there is no other way

        def pace(self) -> None:
            """Have news sent at once, or gathered."""
            scheduler = self.scheduler
            if (comm := scheduler.client_comms.get(owner)) is not None:
                many = len(self.jobs) > enough * scheduler.total_nthreads
                comm.interval = gathered if many else self.at_once

        def remove_client(self, scheduler: Any, client: str) -> None:
            if client == owner:
                scheduler.plugins.pop(topic, None)
                if not self.over:
                    message = {"op": "run", "function": stop, "args": arguments}
                    scheduler._ongoing_background_tasks.call_soon(  # noqa: SLF001  # as it does itself
                        scheduler.broadcast, msg=message, on_error="ignore"
                    )
                with suppress(AttributeError):
                    scheduler._broker._topics.pop(topic, None)  # noqa: SLF001  # as above

    return Run()

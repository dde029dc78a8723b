"""How long the tasks of a flow took in an earlier run, for who wants to know how long they may take now."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from prefect.errors import PrefectError
from prefect.progress.counts import Expected
from prefect.records.finding import last_run, runs_in
from prefect.records.summary import told_of

if TYPE_CHECKING:
    from prefect.progress.counts import Counts
    from prefect.records.run import Run
    from prefect.store.store import Store

_LOOKED_AT = 10
"""Runs."""


def expect(counts: Counts, store: Store, flow: str) -> threading.Thread:
    """Have counts know what is to be expected, if a run of the flow in a store succeeded; the run does not wait for it.

    Args:
        counts: of a run that begins.
        store: has earlier ones.
        flow: its name.

    Returns:
        The thread that looks.
    """

    def look() -> None:
        try:
            aside = store.aside()
            names = runs_in(aside)[-_LOOKED_AT:]
            found = last_run(
                aside, names, lambda run: run.state == "Success" and run.flow["name"] == flow
            )
        except (PrefectError, OSError):  # it is a matter of convenience
            return
        if found is not None:
            counts.expected = expected_of(found[1])

    thread = threading.Thread(target=look, name="prefect-expected", daemon=True)
    thread.start()
    return thread


def expected_of(run: Run) -> Expected:
    """Return how long tasks took: what was not run, as its result was there, is not known."""
    seconds: dict[str, float] = {}
    units: dict[str, int] = {}
    for slug, task in told_of(run):
        tries = [one.tries for _, one in task.units() if one.state != "Cached"]
        took = [sum((each.ended or each.started) - each.started for each in some) for some in tries]
        units[slug] = len(task.children) or int(not task.child_count)
        if took or not units[slug]:
            seconds[slug] = sum(took) / max(len(took), 1)
    return Expected(seconds, units, (run.ended or run.last) - run.started)

"""The comments above what is applied: what it is, and what is to be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.printable import printable

if TYPE_CHECKING:
    from prefect.images.deploying.job import Job

_LONGEST = 80


def described(job: Job) -> list[str]:
    """Return lines that say which flow it is, whatever its name; none ends with a backslash."""
    return [f"The flow '{shown(job.flow)}', written by `prefect manifest`."]


def shown(flow: str) -> str:
    """Return a flow's name as one short line."""
    line = printable(flow)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."

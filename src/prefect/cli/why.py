"""`prefect why`: why a task of a run ran again, or did not."""

from __future__ import annotations

import click

from prefect.cli.options import Command
from prefect.cli.output import say
from prefect.cli.runs import store_option
from prefect.records.reasons import reasons


@click.command(cls=Command, short_help="Say why a task of a kept run ran again, or did not.")
@click.argument("run")
@click.argument("task", required=False)
@store_option
def why(run: str, task: str | None, store: str | None) -> None:
    """Say why TASK of RUN ran again, or did not; without TASK, of each task that can tell.

    RUN is a kept run's name, an end of that which no other has, the file of its record, or "last"; TASK a
    name, or a name and an index such as load[3].
    """
    for line in reasons(run, task, store):
        say(line)

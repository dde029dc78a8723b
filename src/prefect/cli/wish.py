"""What the options of `prefect run` ask for, wherever it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prefect.cli.artifacts import writing
from prefect.cli.output import is_replaceable, say, write_plainly
from prefect.files import replacing
from prefect.frozen import field, frozen, replace
from prefect.running.result_files import content_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from prefect.core.kept import Kept
    from prefect.places.surroundings import Surroundings
    from prefect.running.results import RunResult
    from prefect.secrets.secret import Secret


@frozen
class Wish:
    """What is asked of a run.

    Args:
        given: parameters as they were written.
        secrets: that --secret names.
        key_files, trusted_signers: what opens a sealed flow.
        executor: where tasks run, as text; None is where the flow says.
        result: the file that the run's result goes to.
        as_json, live, quiet: how the run is told.
        kept: what is to be kept of the run, and gone on with; None is nothing.
        otel: whether OpenTelemetry is told of it.
        kept_runs: gets the name of the run, once its flow is known, if it is kept.
    """

    given: dict[str, str]
    secrets: tuple[Secret, ...]
    key_files: tuple[Path, ...]
    trusted_signers: tuple[str, ...]
    executor: str | None
    surroundings: Surroundings
    result: Path | None
    strict: bool
    as_json: bool
    live: bool
    quiet: bool
    kept: Kept | None = None
    otel: bool = False
    kept_runs: list[str] = field(default_factory=list)

    @property
    def events(self) -> bool:
        """Whether a run in another place is to tell of itself in JSON lines."""
        return self.as_json or self.live or self.quiet

    def kept_as(self, flow: str) -> Kept | None:
        """Return what is to be kept of the run, with a name for it: runs are named after their flows.

        Args:
            flow: the flow's name.
        """
        if self.kept is None:
            return None
        from prefect.records.names import new_run  # noqa: PLC0415 - seldom asked for

        self.kept_runs.append(new_run(flow))
        return replace(self.kept, run=self.kept_runs[-1])

    def require_events(self) -> None:
        """Refuse to tell OpenTelemetry of a run elsewhere whose events do not come here.

        Raises:
            click.UsageError: they come as lines for people.
        """
        if self.otel and not self.events:
            raise click.UsageError(
                "--otel tells of a run in another place from its events: add --json or --quiet, or run it on a terminal"
            )

    def keep(self, result: RunResult, behind: Sequence[str] = ()) -> None:
        """Write the run's result where it is asked for, and say what of it stays behind.

        Raises:
            click.ClickException: it cannot be written.
        """
        if self.result is None:
            return
        data, lacking = content_for(self.result, result)
        for line in (*behind, *lacking):
            say(line, err=True)
        with writing(self.result):
            if is_replaceable(self.result):
                with replacing(self.result) as file:
                    file.write(data)
            else:
                write_plainly(self.result, data)

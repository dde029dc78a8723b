"""What the options of `prefect run` ask for, wherever it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from prefect.cli.artifacts import writing
from prefect.cli.output import is_replaceable, say, write_plainly
from prefect.files import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from prefect.places.surroundings import Surroundings
    from prefect.running.results import RunResult
    from prefect.secrets.secret import Secret

_PICKLES = (".pkl", ".pickle")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a run.

    Args:
        given: parameters as they were written.
        secrets: that --secret names.
        key_files, trusted_signers: what opens a sealed flow.
        executor: where tasks run, as text; None is where the flow says.
        result: the file that the run's result goes to.
        as_json, live: how the run is told.
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

    def keep(self, result: RunResult, behind: Sequence[str] = ()) -> None:
        """Write the run's result where it is asked for, and say what of it stays behind.

        Raises:
            click.ClickException: it cannot be written.
        """
        if self.result is None:
            return
        lacking = list(behind)
        if self.result.suffix in _PICKLES:
            data = result.to_pickle()
        else:
            data = (json.dumps(result.to_json(), indent=1, ensure_ascii=False) + "\n").encode()
            lacking += [
                f"The result of {name} has no JSON form: with --result NAME.pkl it is carried"
                for name in result.without_json()
            ]
        for line in lacking:
            say(line, err=True)
        with writing(self.result):
            if is_replaceable(self.result):
                with replacing(self.result) as file:
                    file.write(data)
            else:
                write_plainly(self.result, data)


def require_result_path(path: Path | None) -> None:
    """Refuse what a result cannot be written to, before anything runs.

    Raises:
        click.UsageError: it is neither JSON nor a pickle by its name, or has no directory.
    """
    if path is None:
        return
    if path.suffix != ".json" and path.suffix not in _PICKLES:
        raise click.UsageError(
            f"--result {path}: name a file that ends in .json, or in .pkl for values that JSON lacks"
        )
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise click.UsageError(f"--result {path} cannot be written: its directory is not there")

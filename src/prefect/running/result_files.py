"""The file that a run's result is written to by who started it: JSON, or a pickle, by its name."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.running.stopping import BAD_INPUT, FLOW_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect.running.results import RunResult

_PICKLES = (".pkl", ".pickle")


def require_result_path(path: Path) -> None:
    """Refuse what a result cannot be written to, before anything runs.

    Raises:
        ValueError: it is neither JSON nor a pickle by its name, or has no directory.
    """
    if path.suffix != ".json" and path.suffix not in _PICKLES:
        raise ValueError(
            f"--result {path}: name a file that ends in .json, or in .pkl for values that JSON lacks"
        )
    if path.is_dir():
        raise ValueError(f"--result {path} is a directory: name a file")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--result {path} cannot be written: its directory is not there")


class Outcome:
    """The exit status of a run, once it is known; until then that of one that was cut off."""

    status = FLOW_FAILED


@contextmanager
def without_older(path: Path | None, tell: Callable[[str], object]) -> Iterator[Outcome]:
    """Leave no file of an earlier run that could be taken for this run's result, which was not written.

    Where nothing has run it stays, and that is said.

    Args:
        path: of the result; None where none is asked for.
        tell: called with what is to be said.
    """
    outcome, before = Outcome(), _identity(path)
    try:
        yield outcome
    except Exception:  # of what was given, or of the file itself
        outcome.status = BAD_INPUT
        raise
    finally:
        if path is not None and before is not None and _identity(path) == before:
            if outcome.status == BAD_INPUT:
                tell(f"{path} is of an earlier run: this one has left no result")
            else:
                tell(_removed(path))


def _removed(path: Path) -> str:
    """Remove a file of an earlier run, and return what is to be said of that."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # what ended the run is not to be hidden by it
        return f"{path} is of an earlier run, and cannot be removed: {error}"
    return f"Removed {path}, which was of an earlier run: this one has left no result"


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what is another for a file that was replaced; None where there is no file."""
    if path is None or not path.is_file():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def content_for(path: Path, result: RunResult) -> tuple[bytes, list[str]]:
    """Return what is written to a file of a result, and a line for each value that it cannot hold."""
    if path.suffix in _PICKLES:
        return result.to_pickle(), []
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
    return f"{text}\n".encode(errors="backslashreplace"), [
        f"The result of {name} has no JSON form: with --result NAME.pkl it is carried"
        for name in result.without_json()
    ]

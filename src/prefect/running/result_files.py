"""The file that a run's result is written to by who started it: JSON, or a pickle, by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def content_for(path: Path, result: RunResult) -> tuple[bytes, list[str]]:
    """Return what is written to a file of a result, and a line for each value that it cannot hold."""
    if path.suffix in _PICKLES:
        return result.to_pickle(), []
    text = json.dumps(result.to_json(), indent=1, ensure_ascii=False)
    return f"{text}\n".encode(errors="backslashreplace"), [
        f"The result of {name} has no JSON form: with --result NAME.pkl it is carried"
        for name in result.without_json()
    ]

"""Environments by what is in them: made where there is none yet, kept in the user's cache, held for a run."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.oci.cache.of_user import open_cache
from prefect.places.runtime_directory import runtime_directory
from prefect.places.venv.contents import contents, series_of
from prefect.places.venv.interpreters import find_python
from prefect.places.venv.making import lines_of, make_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect.payload.manifest import Manifest
    from prefect.places.venv.contents import Contents

_FORMAT = 1  # counts up when the same contents give another environment


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment that is ready, and stays so as long as it is held.

    Args:
        python: program of its Python.
        command: starts the worker there, with the worker's arguments after it. It finds this package
            as it is here, its own cloudpickle, and what is in the environment; nothing else.
        held: descriptors that hold it. A child that inherits them keeps it, too, should its parent be
            killed.
        own: names of the files, among the wheels that travelled, that are not in it: the user's own,
            which the worker makes importable, as `importable_wheels` does.
    """

    python: Path
    command: tuple[str, ...]
    held: tuple[int, ...]
    own: frozenset[str]


@contextmanager
def environment_for(
    manifest: Manifest,
    wheels: Path | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Environment]:
    """Hold an environment in which a flow can run, and make it before that where there is none.

    Its Python is this one's series, if the flow can run with it and is locked for it. It has what the
    flow has locked, each file checked by its hash, as copies, and no packages of this machine.

    Args:
        manifest: of the flow, authenticated.
        wheels: directory of the wheels that travelled; None where none did.
        progress: gets a line now and then, where something takes long.

    Raises:
        PlaceError: the flow is not locked for here, or there is no Python of a series that it needs.
        RequirementsError: something that is locked cannot be had, or is not what it should be.
        DiskFullError: the disk of the cache is full.
        SettingError: a cache cannot be used.
        OSError: the cache cannot be written.
    """
    with open_cache() as store:
        wanted = series_of(manifest)
        for series in wanted:
            if interpreter := find_python(series, store):
                break
        else:
            raise _no_python(wanted)
        held_by = contents(manifest, series)
        key = json.dumps([_FORMAT, str(interpreter), series, *lines_of(held_by)])

        def make(directory: Path) -> None:
            make_environment(directory, held_by, interpreter, wheels, progress)

        def waiting() -> None:
            if progress is not None:
                progress("Another run makes this environment: waiting for it")

        with (
            store.directory(f"environment {key}", make, waiting) as environment,
            runtime_directory(store, cloudpickle=not _has_cloudpickle(held_by)) as runtime,
        ):
            python = environment.path / "bin" / "python"
            yield Environment(
                python,
                (str(python), "-I", str(runtime.path)),
                (environment.handle, runtime.handle),
                held_by.own,
            )


def _has_cloudpickle(contents: Contents) -> bool:
    return any(
        line.startswith("cloudpickle==") for line in (*contents.indexed, *contents.brought)
    )


def _no_python(series: list[str]) -> PlaceError:
    named = " or ".join(series)
    return PlaceError(
        f"This flow needs Python {named}, which is not installed here. Install it, for example by `uv "
        f"python install {series[0]}`, or set UV_PYTHON_DOWNLOADS=automatic to have uv do so; or build "
        "the flow with --python for a Python that is here (pythons=)"
    )

"""A sealed flow in a virtual environment that is made for it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from prefect.errors import PlaceError
from prefect.places.process import WorkerProcess
from prefect.places.venv import ahead
from prefect.places.venv.environment import environment_for
from prefect.running.handed import Handed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prefect.payload.manifest import Manifest
    from prefect.places.protocol import Work
    from prefect.running.run_directory import RunDirectory



class Venv:
    """A flow that was opened here, and runs in an environment of its own; meets `protocol.Place`.

    No key leaves this process: the worker gets what they opened.

    Args:
        manifest, payload: of the flow, authenticated.
        directory: has the files and the wheels that travelled, as long as it is started and runs.
        progress: gets a line now and then, where something takes long.
    """

    def __init__(
        self,
        manifest: Manifest,
        payload: bytes | bytearray,
        directory: RunDirectory,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self.manifest = manifest
        self._payload = payload
        self._directory = directory
        self._progress = progress

    def start(self, work: Work) -> WorkerProcess:
        """Make the environment where there is none yet, and start the worker in it.

        Raises:
            PlaceError: the flow is not locked for here, or there is no Python of a series that it
                needs, or what is asked of the place cannot be had there.
            RequirementsError: something that is locked cannot be had.
            DiskFullError, SettingError, OSError: as `environment_for`.
        """
        wanted = work.surroundings
        wanted.require("env", "workdir", "output", place="in an environment on this machine")
        if wanted.workdir is not None and not os.path.isdir(wanted.workdir):  # noqa: PTH112
            raise PlaceError(f"There is no directory {wanted.workdir} to run in (--workdir)")
        with ExitStack() as entered:
            wheels = self._directory.wheels
            environment = entered.enter_context(
                environment_for(self.manifest, wheels, progress=self._progress)
            )
            result = self._directory.make_for_result() if work.result else None
            handed = Handed(
                self.manifest.to_json(),
                self._payload,
                work.secrets,
                self._directory.path,
                apart(wheels, environment.own),
            )
            arguments = work.reporting(None if result is None else str(result))
            if wanted.output is not None:
                arguments.append(f"--output={wanted.output}")
            arguments += work.keeping(None, "venv")
            variables = ahead.variables_in(environment.python, dict(wanted.env))
            reports = work.reports and result is None
            waiting = None
            if not wanted.env and wanted.workdir is None:
                waiting = ahead.take(environment, variables, arguments, reports=reports)
            return WorkerProcess(
                waiting or [*environment.command, *arguments],
                env=variables,
                cwd=wanted.workdir,
                handed=handed,
                reports=reports,
                descriptors=environment.held,
                result=result,
                clean_up=entered.pop_all().close,
            )


def apart(wheels: Path | None, names: frozenset[str]) -> Path | None:
    """Put some of the wheels into a directory of their own; return it, if there are any."""
    if wheels is None or not names:
        return None
    directory = wheels / "own"
    directory.mkdir(exist_ok=True)
    for name in names:
        if not (directory / name).exists():
            (directory / name).hardlink_to(wheels / name)
    return directory

"""A directory of one run's own, for what its package brought; gone with the run."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from prefect.files import private_directory

if TYPE_CHECKING:
    from pathlib import Path


class RunDirectory:
    """Makes the directory when it is wanted; a context manager that removes it.

    It is this user's alone, below the directory for temporary files. One that a killed run left is
    removed by the next run that needs one.
    """

    def __init__(self) -> None:
        self._entered = ExitStack()
        self.path: Path | None = None
        """Absolute; None until somebody wants it."""
        self.wheels: Path | None = None
        """Absolute, where wheels are that travelled; None until somebody wants it."""

    def make(self) -> Path:
        """Return the directory, which is there from now on.

        Raises:
            OSError: it cannot be made.
        """
        if self.path is None:
            self.path = self._entered.enter_context(private_directory("prefect-run"))
        return self.path

    def make_for_wheels(self) -> Path:
        """Return a directory for wheels, which is there from now on.

        Raises:
            OSError: it cannot be made.
        """
        if self.wheels is None:
            self.wheels = self._entered.enter_context(private_directory("prefect-wheels"))
        return self.wheels

    def make_for_result(self) -> Path:
        """Return the path of a file that is not there yet, for the run's result.

        Raises:
            OSError: its directory cannot be made.
        """
        return self._entered.enter_context(private_directory("prefect-result")) / "result"

    def import_wheels(self) -> None:
        """Have what is in the wheels be found by imports, if there are any, until the run's end.

        Raises:
            CompatibilityError, ArtifactError: one of them is not for here, or none.
            OSError: the disk is full.
        """
        if self.wheels is not None:
            self.import_wheels_in(self.wheels)

    def import_wheels_in(self, directory: Path) -> None:
        """Do so with those in a directory of somebody else's."""
        # Few flows bring wheels.
        from prefect.running.own_wheels import importable_wheels  # noqa: PLC0415

        self._entered.enter_context(importable_wheels(directory))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

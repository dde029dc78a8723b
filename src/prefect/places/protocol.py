"""What every place can do: start the worker with some work, and follow it to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prefect.frozen import field, frozen
from prefect.places.surroundings import NOTHING, Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prefect.core.kept import Kept


@frozen
class Work:
    """What the worker is to do in a place, checked, with the values that it needs.

    Args:
        arguments: of `python -m prefect.worker`, such as ["run", "--json"]. A place adds how it hands
            over secrets, and where the result goes.
        secrets: values by name, the key among them. A place hands them over in memory alone.
        tty: whether the worker gets a terminal.
        surroundings: what it gets of the machine.
        result: the key by which the run's result is known as its own, which is among the secrets as
            well; None where no result is to come back.
        kept: what of the run is to be kept; None is nothing. A place whose worker sees the store's directory as
            another says so.
        reports: whether it reports a success as well where no result is to come back: who ends with 0
            and reports nothing was ended by a task.
    """

    arguments: list[str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    tty: bool = False
    surroundings: Surroundings = NOTHING
    result: str | None = field(default=None, repr=False)
    kept: Kept | None = None
    reports: bool = False

    @property
    def has_report(self) -> bool:
        """Whether its result is to come back, or at least that it succeeded."""
        return self.reports or self.result is not None

    def awaiting(self, report: str | None = None) -> list[str]:
        """Return the arguments for a worker that awaits its secrets in their directory.

        Args:
            report: the file in the place that its report goes to, if there is to be one.
        """
        action, *rest = self.reporting(report)
        return [action, *(f"--secret={name}" for name in self.secrets), *rest]

    def keeping(self, directory: str | None, place: str) -> list[str]:
        """Return the arguments for a worker that is to keep something.

        Args:
            directory: as what it sees the store's directory; None is as this process does.
            place: what the place is called.
        """
        if self.kept is None or self.arguments[0] != "run":
            return []
        return [f"--keep={self.kept.at(directory, place).text()}"]

    def reporting(self, report: str | None) -> list[str]:
        """Return the arguments for a worker that writes its report to a file, if one is asked for."""
        action, *rest = self.arguments
        return [action, *([f"--report={report}"] if self.has_report and report else []), *rest]


class Started(Protocol):
    """A worker that was started in a place, and may have ended."""

    def logs(self) -> Iterator[tuple[int, bytes]]:
        """Yield what it writes, as it comes and until it ends: 1, standard output, or 2, error, and bytes."""

    def wait(self) -> int:
        """Wait until it ends; return its exit status, 128 + N where signal N ended it."""

    def stop(self, number: int) -> None:
        """Have a signal end it, such as SIGTERM; it goes on to tell how it ends."""

    def report(self) -> bytes | None:
        """Return what it reported, once it has ended: the run's result as `running.results` writes it.

        Where no result is asked for, any bytes are the report of a success. None where it left none. It
        is somebody else's: nothing of it was checked.
        """

    def remove(self) -> None:
        """End it if it runs, with all that it started, and remove what it leaves in the place."""


class Place(Protocol):
    """An artifact, and where it is to run."""

    def start(self, work: Work) -> Started:
        """Make the place ready, and start the worker there.

        Raises:
            PlaceError: the place cannot be made ready, or what is asked of it cannot be had there.
        """

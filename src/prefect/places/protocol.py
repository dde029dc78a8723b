"""What every place can do: start the worker with some work, and follow it to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from prefect.places.surroundings import NOTHING, Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
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
    """

    arguments: list[str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    tty: bool = False
    surroundings: Surroundings = NOTHING
    result: str | None = field(default=None, repr=False)

    def awaiting(self, result: str | None = None) -> list[str]:
        """Return the arguments for a worker that awaits its secrets in their directory.

        Args:
            result: the file in the place that the result goes to, if there is to be one.
        """
        action, *rest = self.with_result(result)
        return [action, *(f"--secret={name}" for name in self.secrets), *rest]

    def with_result(self, result: str | None) -> list[str]:
        """Return the arguments for a worker that writes its result to a file, if one is asked for."""
        action, *rest = self.arguments
        return [action, *([f"--result={result}"] if self.result and result else []), *rest]


class Started(Protocol):
    """A worker that was started in a place, and may have ended."""

    def logs(self) -> Iterator[bytes]:
        """Yield what it writes, standard output and error alike, as it comes and until it ends."""

    def wait(self) -> int:
        """Wait until it ends; return its exit status, 128 + N where signal N ended it."""

    def stop(self, number: int) -> None:
        """Have a signal end it, such as SIGTERM; it goes on to tell how it ends."""

    def result(self) -> bytes | None:
        """Return the run's result as `running.results` writes it, once it has ended.

        None where it left none. It is somebody else's: nothing of it was checked.
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

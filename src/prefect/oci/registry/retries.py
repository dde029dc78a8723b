"""When a request to a registry is tried again, and how long is waited before."""

from __future__ import annotations

import email.utils
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from prefect.errors import RegistryError
from prefect.frozen import frozen

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

T = TypeVar("T")

PASSING = frozenset({408, 429, 500, 502, 503, 504})


class PassingError(RegistryError):
    """A failure that may pass. Raised and caught within this package.

    Args:
        retry_after: the seconds that the registry asks for, if it does.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@frozen
class Retries:
    """How often a request is made, and how long is waited in between.

    Args:
        attempts: in all, the first one among them.
        first: seconds before the second attempt; doubled each time, with jitter.
        longest: seconds that are waited at most, also when a registry asks for more.
        sleep: waits, for tests; None waits until somebody gives up.
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 60
    sleep: Callable[[float], object] | None = None

    def run(self, action: Callable[[], T], stopped: threading.Event) -> T:
        """Call until it succeeds.

        Raises:
            RegistryError: the last attempt's failure, or one that does not pass.
        """
        attempt = 1
        while True:
            try:
                return action()
            except PassingError as error:
                self.wait(attempt, error, stopped)
            attempt += 1

    def wait(self, attempt: int, error: PassingError, stopped: threading.Event) -> None:
        """Wait after a failed attempt, counted from 1.

        Raises:
            RegistryError: it was the last one, or the registry wants too long a pause.
        """
        asked = error.retry_after or 0
        if attempt >= self.attempts or stopped.is_set():
            raise RegistryError(str(error)) from error.__cause__
        if asked > self.longest:
            raise RegistryError(f"{error}; try again in {asked:.0f} s") from error.__cause__
        pause = min(self.longest, self.first * 2 ** (attempt - 1))
        # Jitter, so that those who failed together do not come back together.
        pause = max(asked, pause * random.uniform(0.5, 1))  # noqa: S311
        (self.sleep or stopped.wait)(pause)


def seconds_of(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which has a number or a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    if retry_after.strip().isascii() and retry_after.strip().isdigit():
        return float(retry_after)
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())

"""How long to wait before a task is tried again, as a function of the number of the run."""

from __future__ import annotations

from datetime import timedelta

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["retry_delay"]

_TWO_HOURS = timedelta(hours=2)


def retry_delay(
    interval: timedelta | None = None,
    *,
    exponential_backoff: bool = False,
    max_delay: timedelta | None = _TWO_HOURS,
    **kwargs: Any,
) -> Callable[[int], timedelta]:
    """Return a function that takes the number of a run, from 1, and gives the delay after it.

    Args:
        interval: the first delay; or give what a `timedelta` takes, such as seconds=10.
        exponential_backoff: whether each delay, from the third run on, is twice the one before it.
        max_delay: the longest delay.
        **kwargs: of a `timedelta`.

    Raises:
        ValueError: both are given, or neither.
    """
    if (interval is None) == (not kwargs):
        raise ValueError("Give either an interval or what a timedelta takes, such as seconds=10")
    first = timedelta(**kwargs) if interval is None else interval

    def delay(run_number: int) -> timedelta:
        found = first * (2 ** max(0, run_number - 2) if exponential_backoff else 1)
        return found if max_delay is None else min(found, max_delay)

    return delay

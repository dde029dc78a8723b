"""Delays by the number of the run."""

from datetime import timedelta

import pytest

from prefect.utilities.datetimes import retry_delay


def test_delays_grow_if_asked():
    """By default all are the same; with backoff they double from the third run on, up to the longest."""
    same = retry_delay(seconds=10)
    assert [same(number).seconds for number in (1, 2, 3)] == [10, 10, 10]
    growing = retry_delay(
        timedelta(seconds=10), exponential_backoff=True, max_delay=timedelta(seconds=35)
    )
    assert [growing(number).seconds for number in (1, 2, 3, 4, 5)] == [10, 10, 20, 35, 35]
    endless = retry_delay(days=1, exponential_backoff=True, max_delay=None)
    assert endless(4) == timedelta(days=4)
    with pytest.raises(ValueError, match="either"):
        retry_delay()
    with pytest.raises(ValueError, match="either"):
        retry_delay(timedelta(1), seconds=3)

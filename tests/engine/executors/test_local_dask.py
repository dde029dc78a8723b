"""The executor of classic Prefect's flows on one machine."""

import pytest

from prefect import Flow, task
from prefect.executors import LocalDaskExecutor


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "threads"),
        ({"scheduler": "threads", "num_workers": 3}, "threads:3"),
        ({"scheduler": "synchronous"}, "local"),
        ({"scheduler": "processes"}, "processes"),
        ({"scheduler": "processes", "num_workers": 2}, "processes:2"),
    ],
)
def test_it_travels_as_what_it_stands_for(arguments, text):
    """Its text form is that of the executor which does the work."""
    assert LocalDaskExecutor(**arguments).text() == text


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "processes"])
def test_it_runs_flows(scheduler):
    """Each of its schedulers does."""
    with Flow("f") as flow:
        doubled = task(lambda x: 2 * x).map([1, 2])
    flow.executor = LocalDaskExecutor(scheduler=scheduler, num_workers=1)
    assert flow.run().result[doubled].result == [2, 4]


def test_other_schedulers_are_refused():
    """One that there is not, and no workers, are errors at the line that names them."""
    with pytest.raises(ValueError, match="use 'threads', 'processes' or 'synchronous'"):
        LocalDaskExecutor(scheduler="nonsense")
    with pytest.raises(ValueError, match="at least 1"):
        LocalDaskExecutor(num_workers=0)

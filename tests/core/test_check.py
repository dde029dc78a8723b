"""Checks of constructor arguments."""

import math
from datetime import timedelta

import pytest

from prefect import Flow, Task

WRONG = [
    ({"name": ""}, ValueError, "name"),
    ({"name": 3}, TypeError, "name"),
    ({"slug": ""}, ValueError, "slug"),
    ({"tags": "etl"}, TypeError, "one string"),
    ({"tags": [1]}, TypeError, "strings"),
    ({"max_retries": -1}, ValueError, "negative"),
    ({"max_retries": 1.5}, TypeError, "whole number"),
    ({"max_retries": True}, TypeError, "whole number"),
    ({"max_retries": 1, "retry_delay": -1}, ValueError, "retry_delay"),
    ({"max_retries": 1, "retry_delay": "soon"}, TypeError, "retry_delay"),
    ({"retry_delay": 1}, ValueError, "no max_retries"),
    ({"timeout": 0}, ValueError, "timeout"),
    ({"timeout": math.nan}, ValueError, "timeout"),
    ({"timeout": math.inf}, ValueError, "timeout"),
    ({"timeout": "1"}, TypeError, "timeout"),
    ({"timeout": timedelta(0)}, ValueError, "timeout"),
    ({"trigger": "all_failed"}, TypeError, "trigger"),
    ({"state_handlers": print}, TypeError, "list of functions"),
    ({"state_handlers": [1]}, TypeError, "state handler"),
    ({"on_failure": 1}, TypeError, "on_failure"),
    ({"nout": -1}, ValueError, "nout"),
    ({"nout": "2"}, TypeError, "nout"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_wrong_arguments_of_tasks(arguments, error, message):
    """Each wrong argument is refused when the task is made, by name."""
    with pytest.raises(error, match=message):
        Task(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error"), [({"name": ""}, ValueError), ({"name": None}, TypeError)]
)
def test_wrong_arguments_of_flows(arguments, error):
    """A flow's name is a string that is not empty."""
    with pytest.raises(error, match="flow's name"):
        Flow(**arguments)


def test_units():
    """Delays and timeouts are timedeltas or seconds; retries need no delay."""
    task = Task(max_retries=1, retry_delay=timedelta(minutes=1), timeout=timedelta(seconds=1.5))
    assert (task.retry_delay, task.timeout) == (timedelta(seconds=60), 1.5)
    assert Task(max_retries=1, retry_delay=2).retry_delay == timedelta(seconds=2)
    assert Task(max_retries=1).retry_delay is None

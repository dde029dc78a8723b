"""`Parameter`."""

import pytest

from prefect import Flow, Parameter, task
from prefect.errors import DuplicateNameError, FlowError, ParameterError


@pytest.mark.parametrize(
    ("arguments", "required", "default"),
    [
        ({}, True, None),
        ({"default": None}, False, None),
        ({"default": 3}, False, 3),
        ({"default": 3, "required": True}, True, 3),
        ({"required": False}, False, None),
    ],
)
def test_required_unless_there_is_a_default(arguments, required, default):
    """A default, None included, makes a parameter optional; `required` has the last word."""
    parameter = Parameter("x", **arguments)
    assert (parameter.required, parameter.default) == (required, default)
    assert parameter.slug == parameter.name == "x"


def test_run_takes_the_given_value():
    """The result is the value given to the run, or the default."""
    with Flow("test") as flow:
        x, y = Parameter("x")(), Parameter("y", default=2)()
    results = flow.run(x=1).result
    assert (results[x].result, results[y].result) == (1, 2)
    assert flow.run(x=None).result[x].result is None


def test_run_without_a_flow():
    """Outside of a run a required parameter has no value."""
    assert Parameter("x", default=1).run() == 1
    with pytest.raises(ParameterError, match="'x' is required"):
        Parameter("x").run()


def test_calling_adds_itself():
    """A parameter is added as it is, not as a copy, and may be used in many places."""

    @task
    def add(a, b):
        return a + b

    x = Parameter("x")
    with Flow("test") as flow:
        assert x() is x
        add(x, x)
    assert len(flow.tasks) == 2


def test_two_of_one_name():
    """A flow has one parameter of a name."""
    with Flow("test"):
        Parameter("x")()
        with pytest.raises(DuplicateNameError, match="'x'"):
            Parameter("x")()


def test_cannot_depend_on_tasks():
    """A parameter waits for nothing."""
    flow = Flow("test")
    with pytest.raises(FlowError, match="Parameter 'x' cannot depend"):
        flow.add_edge(Parameter("y"), Parameter("x"))


def test_names_are_strings():
    """A parameter's name is a string that is not empty."""
    with pytest.raises(ValueError, match="name"):
        Parameter("")
    with pytest.raises(TypeError, match="name"):
        Parameter(3)

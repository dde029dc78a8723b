"""Branches. What they come to is compared with classic Prefect in tests/classic."""

import pytest

from prefect import Flow, Parameter, case, task
from prefect.core.inputs import Constant
from prefect.environments import PickleEnvironment
from prefect.errors import FlowError
from prefect.tasks.control_flow import ifelse, merge, switch


@task
def inc(x):
    return x + 1


def branches():
    with Flow("branches") as flow:
        way = Parameter("way", default="a")
        with case(way, "a"):
            a = inc.map([1, 2])
        with case(way, "b"):
            b = inc(Parameter("x", default=5))
        merged = merge(a, b)
    return flow, merged


def test_what_only_has_a_value_is_not_skipped():
    """Constants and parameters in a block wait for nothing: they cannot."""
    flow, merged = branches()
    waiting = [t for t in flow.tasks if isinstance(t, Constant | Parameter) and flow.edges_to(t)]
    assert waiting == []
    assert flow.run().result[merged].result == [2, 3]
    assert flow.run(way="b", x=7).result[merged].result == 8


def test_a_packaged_flow_has_its_branches():
    """A sealed flow runs as the flow does."""
    flow, _ = branches()
    environment = PickleEnvironment()
    environment.build(flow)
    state = environment.run(parameters={"way": "b", "x": 7})
    assert [s.result for t, s in state.result.items() if t.name == "Merge"] == [8]


def test_an_error_in_a_block_is_that_error():
    """A block that raises adds no comparison."""
    with Flow("f") as flow, pytest.raises(KeyError), case(inc(1), 2):
        inc(2)
        raise KeyError
    assert len(flow.tasks) == 2


def test_branches_need_a_flow():
    """Outside of a flow, each is an error that says so."""
    with pytest.raises(FlowError), case(inc, 1):
        pass
    for use in (lambda: switch(1, {1: inc}), lambda: ifelse(1, inc, None), lambda: merge(inc)):
        with pytest.raises(FlowError, match="outside a flow"):
            use()

"""Operators between tasks."""

import operator
import pickle

import cloudpickle
import numpy as np
import pytest

from prefect import Flow, Parameter, task
from prefect.environments import PickleEnvironment
from prefect.errors import FlowError

BINARY = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@task
def give(x):
    return x


@pytest.mark.parametrize("symbol", BINARY)
def test_an_operator_builds_a_task(symbol):
    """Between two tasks, and with a plain value on either side, it gives what Python gives."""
    apply = BINARY[symbol]
    with Flow("test") as flow:
        seven, two = Parameter("seven", default=7), give(2)
        built = [apply(seven, two), apply(seven, 2), apply(7, two)]
    results = flow.run().result
    assert [results[each].result for each in built] == [apply(7, 2)] * 3
    if symbol not in "<=>=":  # Python turns 7 < x into x > 7
        names = [f"({left} {symbol} {right})" for left, right in (("seven", "give"), ("seven", 2))]
        assert [each.name for each in built] == [*names, f"(7 {symbol} give)"]


def test_and_and_or_are_those_of_python():
    """`a & b` has the result of `a and b`, `a.or_(b)` that of `a or b`, as classic Prefect's."""
    with Flow("test") as flow:
        both, either = give(2) & give([]), give(0).or_(give("x"))
        plain = give(2) & 5
    results = flow.run().result
    assert [results[each].result for each in (both, either, plain)] == [[], "x", 5]
    assert (both.name, either.name) == ("(give and give)", "(give or give)")


def test_a_bar_is_an_order():
    """`a | b` has b wait for a, and is b."""
    with Flow("test") as flow:
        first, then, last = give(1), give(2), give(3)
        assert (first | then | last) is last
    assert flow.upstream_tasks(last) == {then}
    assert flow.upstream_tasks(then) == {first}


def test_results_are_compared_by_methods():
    """`==` tells whether it is the same task; is_equal, is_not_equal and not_ are tasks."""
    with Flow("test") as flow:
        one, other = give(1), give(1)
        equal, unequal, inverse = one.is_equal(other), one.is_not_equal(1), one.not_()
    assert one == one  # noqa: PLR0124
    assert one != other
    assert {one, other} == {other, one}
    results = flow.run().result
    assert [results[each].result for each in (equal, unequal, inverse)] == [True, False, False]
    assert [each.name for each in (equal, unequal, inverse)] == [
        "(give == give)", "(give != 1)", "(not give)",
    ]  # fmt: skip


def test_a_result_is_in_no_text_while_a_flow_is_built():
    """An f-string would have the task's repr where its result is meant; outside of flows it may."""
    with Flow("test"):
        one = give(1)
        with pytest.raises(TypeError, match="pass it to a task, and format it there"):
            f"{one}.csv"
        assert f"{one!r}" == repr(one)
        assert one.name in f"{one.name}.csv"
    assert f"{one}" == str(one)


@pytest.mark.parametrize(
    "decide",
    [
        lambda x: 1 if x else 2,
        lambda x: x and 1,
        lambda x: not x,
        bool,
        lambda x: 1 < x < 3,
        lambda x: max(x, 2),
        lambda x: any([x]),
        lambda x: [y for y in range(3) if x > y],
    ],
)
def test_a_task_has_no_truth_while_a_flow_is_built(decide):
    """What would always go the same way is an error that says what to do instead."""
    with Flow("test"):
        x = give(2)
        with pytest.raises(
            TypeError, match=r"before it has run: pass it to a task, and.* `is not None`"
        ):
            decide(x)


def test_nothing_is_in_a_task_while_a_flow_is_built():
    """Nor is that silently false, or made of tasks that take each item."""
    with Flow("test") as flow:
        x = task(lambda: (1, 2), name="pair", nout=2)()
        with pytest.raises(TypeError, match="'pair' is not known before it has run"):
            1 in x  # noqa: B015
    assert flow.tasks == {x}


def test_an_operator_needs_a_flow():
    """Outside of a flow the error names the task, and says what to do."""
    with Flow("test"):
        x = give(1)
    for build in (lambda: x + 1, lambda: 1 - x, lambda: x > 1, x.not_):
        with pytest.raises(FlowError, match="Task 'give' was used outside a flow"):
            build()


def test_what_python_refuses_fails_when_it_runs():
    """The task of the operator fails, with the error that Python gives."""
    with Flow("test") as flow:
        broken = give("a") - 1
    state = flow.run()
    assert state.is_failed()
    assert isinstance(state.result[broken].result, TypeError)


def test_an_array_with_a_task_is_one_task():
    """NumPy leaves it to the task, rather than making one for each item of the array."""
    with Flow("test") as flow:
        x = give(2)
        total = np.array([1, 2]) * x
        later = x + np.array([1, 2])
    assert len(flow.tasks) == 3
    results = flow.run().result
    assert results[total].result.tolist() == [2, 4]
    assert results[later].result.tolist() == [3, 4]


def test_texts_are_not_in_the_name():
    """A constant that is a text may be secret, and long names are cut."""
    with Flow("test") as flow:
        x = give("a")
        url = "https://example.com/?token=canary" + x
        for _ in range(30):
            x = x + 1
    assert url.name == "(... + give)"
    assert "canary" not in str(flow.serialize())
    assert max(len(each.name) for each in flow.tasks) < 100


def test_a_flow_with_operators_travels():
    """It is described, drawn, pickled and sealed as any other."""
    with Flow("test", environment=PickleEnvironment()) as flow:
        n = Parameter("n", default=3)
        total = give(n) * 2
        small = (total < 10) & (n < 100)
    described = [each["name"] for each in flow.serialize()["tasks"]]
    assert {"(give * 2)", "((give * 2) < 10)", "(n < 100)"} <= set(described)
    assert "(give * 2)" in flow.visualize()
    assert "give #42; 2" in flow.visualize(format="mermaid")
    assert "(give * 2)" in flow.visualize(format="dot")
    again = pickle.loads(cloudpickle.dumps(flow))
    assert again.serialize() == flow.serialize()
    state = again.run()
    assert state.is_successful()
    sealed = flow.environment.build(flow)
    last = [
        s.result for t, s in flow.environment.run(sealed).result.items() if t.name == small.name
    ]
    assert last == [True]

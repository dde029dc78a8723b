"""Constants, collections with tasks in them, and what is mapped."""

from collections import OrderedDict, namedtuple

import pytest

from prefect import Flow, Parameter, Task, task, unmapped
from prefect.core.inputs import Constant, in_order
from prefect.errors import FlowError


@task
def identity(x):
    return x


@task
def number(n):
    return n


def result_of(build, **parameters):
    with Flow("test") as flow:
        last = identity(build())
    state = flow.run(**parameters)
    return state.result[last].result


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: [number(1), 2], [1, 2]),
        (lambda: (number(1), 2), (1, 2)),
        (lambda: {number(1), 2}, {1, 2}),
        (lambda: frozenset([number(1)]), frozenset([1])),
        (lambda: {"a": number(1), "b": [number(2)]}, {"a": 1, "b": [2]}),
        (lambda: {number("key"): number("value")}, {"key": "value"}),
        (lambda: [[[number(1)], []], {"a": ()}], [[[1], []], {"a": ()}]),
        (lambda: [number(i) for i in range(12)], list(range(12))),
    ],
)
def test_collections_may_contain_tasks(build, expected):
    """Lists, tuples, sets and dicts with tasks anywhere in them become their results."""
    assert result_of(build) == expected


def test_constants_are_kept_as_they_are():
    """A value without tasks is no task, and reaches run as the same object."""
    value = {"a": [1, {2}]}
    with Flow("test") as flow:
        t = identity(value)
    assert flow.tasks == {t}
    assert flow.constants[t]["x"] is value
    assert flow.run().result[t].result is value


def test_a_collection_may_contain_itself():
    """Looking for tasks in a list that contains itself comes to an end."""
    loop = [1]
    loop.append(loop)
    assert result_of(lambda: loop) is loop


def test_other_collections_with_tasks_are_refused():
    """Named tuples and the like would lose their type, so with tasks in them they are refused."""
    Point = namedtuple("Point", "x y")  # noqa: PYI024
    for kind, value in (("Point", Point(Task(), 1)), ("OrderedDict", OrderedDict(a=Task()))):
        with Flow("test"), pytest.raises(FlowError, match=f"A {kind} with tasks"):
            identity(value)
    assert result_of(lambda: Point(1, 2)) == Point(1, 2)


def test_mapped_constants():
    """What is mapped over is a task, also if it is a constant; what is unmapped is not."""
    with Flow("test") as flow:
        pair = task(lambda x, y: (x, y)).map([1, 2], unmapped(3))
    assert flow.constants == {pair: {"y": 3}}
    assert [type(t) for t in flow.tasks] == [Constant, type(pair)]
    assert flow.run().result[pair].result == [(1, 3), (2, 3)]


def test_unmapped_means_nothing_elsewhere():
    """unmapped(...) in an ordinary call is its value."""
    assert result_of(lambda: unmapped(4)) == 4


def test_nothing_to_map_over():
    """A map of which every argument is unmapped is refused: it would silently run once."""
    with Flow("test"), pytest.raises(FlowError, match="nothing to map over"):
        identity.map(unmapped([1]))


@pytest.mark.parametrize("value", [10, None, 1.5, True, "text", {"a": 1}, (x for x in [1])])
def test_a_plain_value_without_items_is_refused_where_it_is_mapped(value):
    """The error says to give it whole, by unmapped, or which list to map over; nothing has run then."""
    pair = task(lambda x, y: (x, y), name="pair")
    with (
        Flow("test"),
        pytest.raises(FlowError, match=r"'pair' cannot map over 'y': .*(unmapped|list)\("),
    ):
        pair.map([1, 2], value)
    with Flow("test"):
        pair.map([1, 2], unmapped(value))


def test_sets_are_put_in_order():
    """Tasks of a set come in order of addition, then by name, whatever their hashes."""
    tasks = [Task(name) for name in "edcba"]
    flow = Flow("test", tasks=tasks[:3])
    assert in_order(set(tasks), flow) == [*tasks[:3], tasks[4], tasks[3]]
    assert in_order(tasks, flow) == tasks


def test_parameters_as_values():
    """A parameter in a collection is a task like another."""
    assert result_of(lambda: {"a": Parameter("p")}, p=5) == {"a": 5}

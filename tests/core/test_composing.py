"""Tags for many tasks; functions of tasks that are mapped; annotations of arguments."""

import pytest

from prefect import Flow, Parameter, apply_map, context, flatten, mapped, tags, task, unmapped
from prefect.core.composing import as_task
from prefect.core.inputs import Constant
from prefect.errors import FlowError


@task
def inc(x):
    return x + 1


@task
def give(x):
    return x


def test_tags_hold_within_their_block():
    """Tasks that are made, copied or bound there have them; the original and the others have not."""
    with Flow("f"):
        with tags("a"), tags("b"):
            made = inc(1)
        other = inc(1)
    assert (made.tags, other.tags, inc.tags) == ({"a", "b"}, set(), set())
    with pytest.raises(TypeError):
        tags(1)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ([[1, 2], [3]], [2, 3, 4]),
        ([], []),
        ([[], (1,)], [2]),
    ],
)
def test_flattened_items_are_mapped_over(value, result):
    """The items of each item are mapped over, of a constant as of a task's result."""
    with Flow("f") as flow:
        a, b = inc.map(flatten(value)), inc.map(flatten(give(value)))
        whole = give(flatten(value))
    state = flow.run()
    assert state.result[a].result == state.result[b].result == result
    assert [x + 1 for x in state.result[whole].result] == result


def test_flatten_needs_lists():
    """A value without items is an error when the flow is written, or a failure that names the item."""
    with Flow("f") as flow:
        with pytest.raises(FlowError, match=r"flatten\(...\) takes a list of lists: an int"):
            inc.map(flatten(3))
        odd = give(flatten(give([[1], 2])))
    state = flow.run()
    assert state.is_failed()
    assert state.result[odd].is_failed()


def test_annotations_nest():
    """What is flattened may be given whole, or be mapped over in a plain call."""
    with Flow("f") as flow:
        a = give.map(unmapped(flatten([[1], [2]])), upstream_tasks=[give([0, 0])])
        b = inc(mapped(flatten([[1], [2]])))
    state = flow.run()
    assert state.result[a].result == [[1, 2], [1, 2]]
    assert state.result[b].result == [2, 3]


def test_a_function_of_tasks_is_mapped_as_one():
    """Each of its tasks has a child for each item, also those that take none of the arguments."""
    with Flow("f") as flow:

        def steps(x, y):
            total = x + y
            return total, inc(total), give(5)

        total, more, five = apply_map(steps, Parameter("xs", default=[1, 2]), unmapped(10))
    state = flow.run()
    assert [state.result[t].result for t in (total, more, five)] == [[11, 12], [12, 13], [5, 5]]


def test_apply_map_needs_something_to_map_over():
    """A value without items is refused, and so is a call outside a flow."""
    with Flow("f"), pytest.raises(FlowError, match="argument 1: an int has no items"):
        apply_map(inc, 3)
    with pytest.raises(FlowError, match="There is no flow"):
        apply_map(inc, [3])


def test_a_value_becomes_a_task():
    """A task is itself, a collection of tasks one that gathers them, all else a constant."""
    with Flow("f"):
        one = inc(1)
        assert as_task(one) is one
        assert as_task([one]).name == "List"
        assert isinstance(as_task(3), Constant)
        assert as_task(unmapped(one)) is one
    assert "tags" not in context

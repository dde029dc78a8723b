"""Mapped tasks."""

import logging
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect import Flow, Parameter, context, task, unmapped
from prefect.engine import signals
from prefect.engine.executors import LocalExecutor
from prefect.engine.state import Failed, Mapped, Skipped, Success, TriggerFailed
from prefect.triggers import all_finished, any_failed


@task
def inc(x):
    return x + 1


@task
def add(x, y):
    return x + y


@task
def inverse(x):
    return 1 / x


@task
def give(value):
    return value


@task
def skip_odd(x):
    if x % 2:
        raise signals.SKIP("odd")
    return x


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Failures are expected here."""
    caplog.set_level(logging.CRITICAL, logger="prefect")


def run(build, executor=None, **parameters):
    with Flow("test") as flow:
        t = build()
    state = flow.run(executor=executor, **parameters)
    return state.result[t], state


def test_map(executor):
    """A mapped task runs once for each item, and its result is the list of theirs."""
    state, _ = run(lambda: inc.map([1, 2, 3]), executor)
    assert type(state) is Mapped
    assert state.result == [2, 3, 4]
    assert state.map_states == [Success(None, x) for x in (2, 3, 4)]


@pytest.mark.parametrize("items", [(1, 2), range(1, 3), [1, 2]])
def test_sequences(items):
    """Lists, tuples and ranges are mapped over."""
    assert run(lambda: inc.map(give(items)))[0].result == [2, 3]


def test_anything_with_length_and_items():
    """So is whatever has a length and items by number."""
    numpy = pytest.importorskip("numpy")
    assert run(lambda: inc.map(give(numpy.array([1, 2]))))[0].result == [2, 3]


def test_several_arguments(executor):
    """Arguments are mapped over in step; unmapped ones are given whole."""
    assert run(lambda: add.map([1, 2], give([10, 20])), executor)[0].result == [11, 22]
    assert run(lambda: add.map([[1], [2]], unmapped(give([9]))), executor)[0].result == [
        [1, 9],
        [2, 9],
    ]


def test_maps_over_maps(executor):
    """Children follow the children of the same index, and a plain task gets the list."""

    def build():
        a = inc.map([1, 2, 3])
        b = add.map(a, inc.map(a))
        return give(b)

    assert run(build, executor)[0].result == [5, 7, 9]


def test_empty(executor):
    """Mapping over nothing is a success with an empty list, maps over that included."""
    state, flow_state = run(lambda: inc.map(inc.map([])), executor)
    assert type(state) is Mapped
    assert (state.result, state.map_states) == ([], [])
    assert flow_state.is_successful()


def test_upstream_tasks_of_a_map():
    """A mapped upstream task without a key is followed child by child, another just waited for."""
    order = []

    def note(name):
        @task(name=name)
        def write(x):
            order.append((name, x))
            return x

        return write

    with Flow("test") as flow:
        first = note("first")(0)
        a = note("a").map([1, 2], upstream_tasks=[first])
        note("b").map([3, 4], upstream_tasks=[a, unmapped(first)])
    assert flow.run().is_successful()
    assert order[0] == ("first", 0)
    assert order.index(("a", 1)) < order.index(("b", 3))
    assert order.index(("a", 2)) < order.index(("b", 4))


@pytest.mark.parametrize("trigger", [None, all_finished, any_failed])
def test_children_that_get_a_whole_map_cost_the_same_however_many_there_are(trigger):
    """What came of all of the map is counted once, not by each child that gets its list."""
    give_x = task(lambda x, ys: x, trigger=trigger)

    def calls(number):
        with Flow("test") as flow:
            items = list(range(number))
            give_x.map(items, unmapped(inverse.map(items if trigger else [*items[1:], 5])))
        counted = 0

        def count(frame, event, argument):
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        try:
            flow.run()
        finally:
            sys.setprofile(None)
        return counted / number

    assert calls(200) < 1.3 * calls(50)


def test_upstream_tasks_alone_can_be_mapped_over():
    """A task without arguments runs once for each item of what it waits for, as classic Prefect's do."""
    with Flow("test") as flow:
        rolls = task(lambda: "rolled", name="roll").map(upstream_tasks=[give([1, 2, 3])])
    assert flow.run().result[rolls].result == ["rolled"] * 3


def test_upstream_tasks_of_other_lengths_are_a_failure():
    """A list that a map waits for is mapped over, too; `unmapped(...)` makes it one to wait for."""
    with Flow("test") as flow:
        wrong = inc.map([1, 2], upstream_tasks=[give([1, 2, 3])])
        right = inc.map([1, 2], upstream_tasks=[unmapped(give([1, 2, 3]))])
    state = flow.run()
    assert "different lengths" in state.result[wrong].message
    assert state.result[right].result == [2, 3]


def test_an_upstream_task_without_items_is_no_problem_but_alone():
    """It is waited for where there is something else to map over; where not, the failure names it."""
    with Flow("test") as flow:
        setup = task(lambda: None, name="setup")()
        waits = inc.map([1, 2], upstream_tasks=[setup])
        wrong = task(lambda: 1).map(upstream_tasks=[setup])
    state = flow.run()
    assert state.result[waits].result == [2, 3]
    assert "cannot map over 'setup': None has no items" in state.result[wrong].message


def test_children_need_not_wait_for_each_other():
    """Results are used up before others are made: stages of a map are run in turn for each item."""
    order = []
    with Flow("test") as flow:
        a = task(lambda x: order.append(("a", x)) or x).map([1, 2])
        task(lambda x: order.append(("b", x))).map(a)
    flow.run(executor=LocalExecutor())
    assert order == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_lengths_must_agree():
    """Arguments of different lengths are a failure that names them: nothing is dropped."""
    for build in (
        lambda: add.map([1, 2, 3], give([1])),
        lambda: add.map([1, 2, 3], inc.map([1])),
    ):
        state, flow_state = run(build)
        assert type(state) is Failed
        assert state.message.endswith("different lengths: 'x' has 3, 'y' has 1")
        assert flow_state.is_failed()


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (3, r"an int has no items; give it whole to each with unmapped\(\.\.\.\)"),
        (None, "None has no items"),
        (iter([1]), r"a list_iterator has no items by number.*map over list\(\.\.\.\)"),
        ("text", "it is a str; map over list"),
        (b"bytes", "it is a bytes"),
        ({"a": 1}, "it is a dict; map over a list of its keys"),
        ({1, 2}, "it is a set; map over sorted"),
    ],
)
def test_what_cannot_be_mapped_over(value, hint):
    """Other values are a failure that says what to do."""
    state, _ = run(lambda: inc.map(give(value)))
    assert type(state) is Failed
    import re

    assert re.search(f"cannot map over 'x': {hint}", state.message)
    assert isinstance(state.result, TypeError)


def test_failed_children(executor):
    """A child that fails leaves the others alone, and fails the flow if it decides its state."""
    state, flow_state = run(lambda: inverse.map([1, 0, 2]), executor)
    assert type(state) is Mapped
    assert [type(s) for s in state.map_states] == [Success, Failed, Success]
    assert state.result[::2] == [1, 0.5]
    assert isinstance(state.result[1], ZeroDivisionError)
    assert flow_state.message == "Some reference tasks failed: inverse[1]."


def test_what_follows_failed_children(executor):
    """A reducing task is decided by all children, a mapped one by the child of its index."""
    state, _ = run(lambda: give(inverse.map([1, 0])), executor)
    assert type(state) is TriggerFailed
    state, _ = run(lambda: inc.map(inverse.map([1, 0])), executor)
    assert [type(s) for s in state.map_states] == [Success, TriggerFailed]
    collect = give.copy()
    collect.trigger = all_finished
    state, _ = run(lambda: collect(inverse.map([1, 0])), executor)
    assert [type(x) for x in state.result] == [float, ZeroDivisionError]


def test_what_follows_skipped_children(executor):
    """Skipping spreads from child to child, and to what reduces them."""
    state, _ = run(lambda: inc.map(skip_odd.map([1, 2])), executor)
    assert [type(s) for s in state.map_states] == [Skipped, Success]
    state, _ = run(lambda: give(skip_odd.map([1, 2])), executor)
    assert type(state) is Skipped
    collect = give.copy(skip_on_upstream_skip=False)
    assert run(lambda: collect(skip_odd.map([1, 2])), executor)[0].result == [None, 2]


def test_mapping_over_what_failed_or_was_skipped():
    """A task that should be mapped over what is not there ends as a plain task would."""
    assert type(run(lambda: inc.map(inverse(0)))[0]) is TriggerFailed
    assert type(run(lambda: inc.map(skip_odd(1)))[0]) is Skipped
    state, _ = run(lambda: inc.copy(trigger=any_failed).map(inverse(0)))
    assert (type(state), state.message) == (
        Failed,
        "cannot map over 'x': the task it comes from failed",
    )
    state, _ = run(lambda: inc.copy(skip_on_upstream_skip=False).map(skip_odd(1)))
    assert "was skipped" in state.message


def test_an_unmapped_failure():
    """A failed unmapped argument stops all children at once, or is up to their trigger."""
    state, _ = run(lambda: add.map([1, 2], unmapped(inverse(0))))
    assert type(state) is TriggerFailed
    pick = task(lambda x, y: type(y).__name__, trigger=any_failed)
    state, _ = run(lambda: pick.map([1, 2], unmapped(inverse(0))))
    assert state.result == ["ZeroDivisionError"] * 2


def test_retries_of_children(executor):
    """Each child is retried by itself."""

    @task(max_retries=1, retry_delay=0.01)
    def flaky(x):
        if x == 2 and context.task_run_count == 1:
            raise ValueError
        return context.map_index, context.task_run_count

    state, _ = run(lambda: flaky.map([1, 2]), executor)
    assert state.result == [(0, 1), (1, 2)]


def test_children_wait_for_retries_of_those_they_follow(executor, tmp_path):
    """A child waits for its upstream child also if that is waiting for another try meanwhile."""
    failed = tmp_path / "failed"

    @task(max_retries=1, retry_delay=0.05)
    def flaky(x):
        if context.task_run_count == 1:
            failed.touch()
            raise ValueError
        return x

    @task
    def slow(one):
        end = time.monotonic() + 60
        while not failed.exists() and time.monotonic() < end:
            time.sleep(0.01)
        return one

    def build():
        return add.map(flaky.map([1, 2]), unmapped(slow(slow(5))))

    assert run(build, executor)[0].result == [6, 7]


def test_map_index():
    """Children know which they are; other tasks know that they are none."""
    index = task(lambda x: context.map_index)
    assert run(lambda: index.map(["a", "b"]))[0].result == [0, 1]
    assert run(lambda: index("a"))[0].result is None


def test_mapping_over_a_parameter():
    """A parameter may be mapped over."""
    assert run(lambda: inc.map(Parameter("xs")), xs=[1, 2])[0].result == [2, 3]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(), max_size=4), max_size=3), st.integers(0, 3))
def test_stages_of_maps(rows, depth):
    """However deep maps follow each other, the result is that of a loop."""

    def build():
        stage = give(rows)
        for _ in range(depth):
            stage = give.map(stage)
        return task(lambda xs: [len(x) for x in xs])(stage)

    assert run(build)[0].result == [len(row) for row in rows]

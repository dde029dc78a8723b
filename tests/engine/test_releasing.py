"""Values that go when nobody needs them any more."""

import gc
import logging
import pickle
import threading
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect import Flow, Parameter, task, unmapped
from prefect.engine.executors import LocalExecutor
from prefect.engine.releasing import SMALL, is_small
from prefect.errors import ResultUnavailableError
from prefect.triggers import all_finished

LARGE = SMALL + 1


class Big:
    """A value that takes much memory, or says so; knows how many of its kind there are."""

    alive: ClassVar = weakref.WeakSet()
    most = 0
    nbytes = LARGE

    def __init__(self, number=0):
        self.number = number
        Big.alive.add(self)
        Big.most = max(Big.most, len(Big.alive))


@task
def make(x=None):
    return Big(0 if x is None else getattr(x, "number", x) + 1)


@task
def last(x):
    return "done"


@pytest.fixture(params=["local", "threads:3"])
def executor(request):
    """Each executor where values lie in this process, and can be counted."""
    return request.param


@pytest.fixture(autouse=True)
def none_yet(caplog):
    """Count from nothing; failures are expected."""
    caplog.set_level(logging.CRITICAL, logger="prefect")
    gc.collect()
    Big.alive.clear()
    Big.most = 0


def test_a_value_goes_after_its_last_consumer(executor):
    """Of a chain of large values no more are there at a time than one and what is made of it."""
    with Flow("test") as flow:
        x = make()
        for _ in range(10):
            x = make(x)
        last(x)
    state = flow.run(executor=executor)
    assert state.is_successful()
    assert Big.most == 2
    gc.collect()
    assert not Big.alive


def test_reading_a_released_value_says_what_to_do():
    """The error names the task and the fix, on its own and in a list of a mapped task's."""
    with Flow("test") as flow:
        one = make()
        many = make.map([1, 2])
        last([one, many])
    state = flow.run()
    with pytest.raises(ResultUnavailableError, match=r"'make' was released.*results=\"all\""):
        _ = state.result[one].result
    with pytest.raises(ResultUnavailableError, match=r"'make\[0\]' was released"):
        _ = state.result[many].result
    assert state.result[one].is_successful()
    assert pickle.loads(pickle.dumps(state.result[one])).is_successful()


def test_all_results_are_kept_on_demand(executor):
    """With results="all" every value is there after the run."""
    with Flow("test") as flow:
        one, many = make(), make.map([1, 2])
        last([one, many])
    state = flow.run(executor=executor, results="all")
    assert state.result[one].result.number == 0
    assert [each.number for each in state.result[many].result] == [2, 3]


def test_which_results_is_checked():
    """Another word is an error, which also tells how a parameter of that name is given."""
    with pytest.raises(ValueError, match=r"parameters=\{...\}"):
        Flow("test").run(results=3)


def test_what_is_kept(executor):
    """Reference tasks, parameters, and what no task takes keep their values, however large."""
    with Flow("test") as flow:
        x = Parameter("x")
        taken = make(x)
        other = make()
        after = last(taken, upstream_tasks=[other])
    flow.set_reference_tasks([taken, after])
    result = flow.run(x=5, executor=executor).result
    assert result[taken].result.number == 6
    assert result[other].result.number == 0
    assert result[x].result == 5


def test_stages_of_maps_hold_few_values():
    """A child's value goes when the child that follows it has finished, not with the whole map."""
    with Flow("test") as flow:
        x = make.map(make.map(list(range(20))))
        last.map(x)
    assert flow.run(executor=LocalExecutor()).is_successful()
    assert Big.most == 2


def test_what_gathers_a_map_gets_all_of_it(executor):
    """Values of children stay until the last task that takes the list, or the child, has finished."""
    numbers = task(lambda bigs: [each.number for each in bigs])
    number = task(lambda big: big.number)
    both = task(lambda x, bigs: x + len(bigs))
    with Flow("test") as flow:
        many = make.map(list(range(5)))
        first = numbers(many)
        second = number.map(many)
        third = both.map([1, 2], unmapped(many), upstream_tasks=[unmapped(first)])
        fourth = numbers(many, upstream_tasks=[second, third])
    result = flow.run(executor=executor).result
    assert result[first].result == result[second].result == result[fourth].result == [1, 2, 3, 4, 5]
    assert result[third].result == [6, 7]
    gc.collect()
    assert not Big.alive


def test_retries_and_triggers_see_the_value(executor):
    """A try that is made again gets its inputs again, and a trigger of one's own may look at results."""
    tries = []

    @task(max_retries=2)
    def flaky(x):
        tries.append(x.number)
        if len(tries) < 3:
            raise ValueError
        return "done"

    def by_result(states):
        return all(state.result.number == 0 for state in states.values())

    with Flow("test") as flow:
        x = make()
        t = flaky(x)
        decided = task(lambda: 1, trigger=by_result)(upstream_tasks=[x])
    result = flow.run(executor=executor).result
    assert tries == [0, 0, 0]
    assert result[t].is_successful()
    assert result[decided].is_successful()


def test_consumers_that_do_not_run_are_consumers(executor):
    """A value that only skipped or blocked tasks would have taken goes as well."""
    fail = task(lambda: 1 / 0)
    with Flow("test") as flow:
        x = make()
        gone = threading.Event()
        taken = task(lambda a, b: a)(x, fail())
        check = task(gone.set, trigger=all_finished)
        check(upstream_tasks=[taken])
        last.map(make.map([1, 2]), upstream_tasks=[fail()])
    flow.run(executor=executor)
    assert gone.is_set()
    gc.collect()
    assert not Big.alive


@dataclass
class Report:
    """An instance of a plain class."""

    title: str
    rows: object


class Slotted:
    """Has no dict."""

    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


@pytest.mark.parametrize(
    "value",
    [
        None, 1, 2.5, "text", b"x" * 1000, [1, 2, [3]], {"a": (1, {2})}, datetime.now(UTC), Path("x"),
        Report("title", [1]), Slotted(1), int, 10**100, ValueError("x"),
    ],
)  # fmt: skip
def test_small_values(value):
    """What scripts look at after a run is kept."""
    assert is_small(value)


def itself():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        "x" * LARGE, bytes(LARGE), [bytes(LARGE)], list(range(LARGE)), {1: {2: "x" * LARGE}}, Big(),
        Report("title", bytes(LARGE)), Slotted(bytes(LARGE)), threading.Lock(), memoryview(bytes(LARGE)),
        itself(), open, (x for x in ()),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_large_values(value):
    """What is large, or does not say how large it is, goes; and it takes little to find out."""
    assert not is_small(value)


def test_views_count_as_what_they_are_views_of():
    """A short slice of a large array keeps all of it."""
    numpy = pytest.importorskip("numpy")
    assert is_small(numpy.zeros(10))
    assert not is_small(numpy.zeros(LARGE)[:10])
    assert not is_small(numpy.full(SMALL // 64, None))


def test_tables_count_by_their_cells():
    """A summary in a small data frame is there after the run; the data are not."""
    pandas = pytest.importorskip("pandas")
    assert is_small(pandas.DataFrame({"year": [2012, 2013], "text": ["a", "b"]}))
    assert not is_small(pandas.DataFrame({"text": ["a"] * SMALL}))


@st.composite
def graphs(draw):
    """Draw the tasks of a flow: what each takes, how it runs, and whether it fails."""
    count = draw(st.integers(2, 10))
    nodes = []
    for number in range(count):
        before = (
            st.lists(st.integers(0, number - 1), max_size=3, unique=True) if number else st.just([])
        )
        nodes.append((draw(before), draw(st.sampled_from(["plain", "map", "fail", "list"]))))
    return nodes


@settings(deadline=None, max_examples=150)
@given(graphs())
def test_releasing_changes_nothing_but_what_can_be_read(nodes):
    """On random graphs with mapping and failures every task comes to the same as without it."""
    sizes = task(lambda **xs: "x" * (LARGE + sum(len(x) for x in xs.values())))

    @task
    def listed(**xs):
        return ["y" * LARGE, "z" * LARGE]

    with Flow("test") as flow:
        made = []
        for before, how in nodes:
            inputs = {f"x{n}": made[n] for n in before}
            if how == "map":
                base = listed()
                inputs = {k: unmapped(v) if i else v for i, (k, v) in enumerate(inputs.items())}
                sources = [made[n] for n in before if nodes[n][1] in {"map", "list"}][:1] or [base]
                rest = {k: unmapped(getattr(v, "value", v)) for k, v in inputs.items()}
                made.append(sizes.map(over=sources[0], **rest))
            elif how == "fail":
                made.append(task(lambda **xs: 1 / 0)(**inputs))
            else:
                made.append((listed if how == "list" else sizes)(**inputs))
    kept, all_kept = flow.run(), flow.run(results="all")
    for t, state in kept.result.items():
        expected = all_kept.result[t]
        assert type(state) is type(expected)
        if state.is_successful():
            try:
                found = state.result
            except ResultUnavailableError:
                assert t not in flow.reference_tasks()
            else:
                assert repr(found) == repr(expected.result)
        for child, other in zip(
            getattr(state, "map_states", []), getattr(expected, "map_states", []), strict=True
        ):
            assert type(child) is type(other)

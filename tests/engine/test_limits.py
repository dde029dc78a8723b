"""How many tasks of a kind run at a time."""

import asyncio
import pickle
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect import Flow, Parameter, task, triggers
from prefect.engine.executors import ThreadExecutor
from prefect.engine.state import Cancelled

LONG = 60


class Counting:
    """Counts how many tasks that have a tag run at a time."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = {}
        self.most = {}

    def enter(self, tags):
        with self.lock:
            for tag in tags:
                self.now[tag] = self.now.get(tag, 0) + 1
                self.most[tag] = max(self.most.get(tag, 0), self.now[tag])

    def leave(self, tags):
        with self.lock:
            for tag in tags:
                self.now[tag] -= 1


def test_no_more_run_at_a_time():
    """Of the tasks that have the tag as many run at a time as it says, and all of them in the end."""
    counting, executor = Counting(), ThreadExecutor(8)

    @task(tags=["db"])
    def query(x):
        counting.enter(["db"])
        time.sleep(0.005)
        counting.leave(["db"])
        return x

    with Flow("test", limits={"db": 2, "other": 1}) as flow:
        many = query.map(list(range(20)))
    assert flow.run(executor=executor).result[many].result == list(range(20))
    assert counting.most["db"] == 2
    assert flow.run(executor=executor, limits={"db": 1}).is_successful()
    assert pickle.loads(pickle.dumps(Flow("test", limits={"db": 2}))).limits == {"db": 2}


def test_async_tasks_are_limited_too():
    """They take no worker, but count."""
    now, most = [], []

    @task(tags=["api"])
    async def call(x):
        now.append(x)
        most.append(len(now))
        await asyncio.sleep(0.002)
        now.remove(x)

    with Flow("test") as flow:
        call.map(list(range(20)))
    assert flow.run(limits={"api": 3}).is_successful()
    assert max(most) == 3


def test_tasks_that_do_not_run_give_their_places_back():
    """What is skipped, fails, is tried again or not run at all leaves others their places."""
    tagged = {"tags": ["db"]}
    tries = []

    @task(max_retries=2, retry_delay=0.01, **tagged)
    def flaky(x):
        tries.append(x)
        if len(tries) < 5:
            raise ValueError
        return x

    with Flow("test") as flow:
        failed = task(lambda: 1 / 0, name="fail", **tagged)()
        blocked = task(lambda x: x, name="blocked", **tagged)(failed)
        last = task(lambda: 1, name="last", trigger=triggers.all_finished, **tagged)(
            upstream_tasks=[blocked]
        )
        retried = flaky.map([1, 2, 3])
    result = flow.run(executor="threads:4", limits={"db": 1}).result
    assert result[last].is_successful()
    assert all(not state.is_pending() for state in result[retried].map_states)


def test_what_waits_for_a_place_is_cancelled():
    """A task that was kept back has not started."""

    @task(tags=["db"])
    def spin(x):
        while True:
            time.sleep(0)

    with Flow("test") as flow:
        many = spin.map([1, 2, 3])
    state = flow.run(executor="threads:4", limits={"db": 1}, timeout=0.2)
    assert state.message.endswith("1 was running and 2 had not started.")
    assert [type(each) for each in state.result[many].map_states] == [Cancelled] * 3


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sets(st.sampled_from("abc")), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 2)),
    st.integers(1, 4),
)
def test_random_limits(kinds, limits, workers):
    """Whatever tags tasks have together, all run, and never more of a kind than it says."""
    counting = Counting()

    def work(tags):
        counting.enter(tags)
        time.sleep(0)
        counting.leave(tags)

    with Flow("test") as flow:
        for tags in kinds:
            task(work, tags=tags)(sorted(tags))
    state = flow.run(executor=ThreadExecutor(workers), limits=limits, timeout=LONG)
    assert state.is_successful()
    assert all(counting.most.get(tag, 0) <= limit for tag, limit in limits.items())


@pytest.mark.parametrize(
    ("limits", "error"),
    [({"db": 0}, ValueError), ({"db": "2"}, TypeError), ({1: 2}, TypeError), (["db"], TypeError)],
)
def test_wrong_limits(limits, error):
    """What is no number of tasks is refused when the flow is made, or run."""
    with pytest.raises(error, match="limits"):
        Flow("test", limits=limits)
    with pytest.raises(error, match="limits"):
        Flow("test").run(limits=limits)


def test_limits_that_hold_nothing_back(caplog):
    """A tag that no task has is perhaps misspelt: that is said, and which tags there are."""
    with Flow("test", limits={"bd": 1, "GPU": 2, "db": 1}) as flow:
        task(lambda: 1, tags=["db"])()
        task(lambda: 1, resources={"GPU": 1})()
    assert flow.run().is_successful()
    said = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert said == [
        "The limit of 'bd' holds nothing back: no task has such a tag or needs such a resource; tags are 'db'"
    ]


def test_parameters_of_that_name_are_told_apart():
    """A flow with a parameter named limits gets it in `parameters`."""
    with Flow("test") as flow:
        task(lambda x: x)(Parameter("limits"))
    with pytest.raises(TypeError, match="goes into parameters="):
        flow.run(limits={"db": 1})

"""What tasks need of what there is little of."""

import os
import threading
import time
from itertools import pairwise

import pytest
from distributed import LocalCluster

from prefect import Flow, task
from prefect.engine.executors import DaskExecutor
from prefect.errors import ExecutorError


def test_limits_count_what_tasks_need():
    """No more runs at a time than there is for, whatever each needs; the rest follows."""
    running, most, lock = [], [], threading.Lock()

    def use(x):
        with lock:
            running.append(x)
            most.append(sum(running))
        time.sleep(0.01)
        with lock:
            running.remove(x)
        return x

    with Flow("test", limits={"GPU": 3}) as flow:
        ones = task(lambda x: use(1), name="one", resources={"GPU": 1}).map(list(range(8)))
        twos = task(lambda x: use(2), name="two", resources={"GPU": 2}).map(list(range(8)))
        task(lambda xs, ys: None, name="after")(ones, twos)
    assert flow.run(executor="threads:8").is_successful()
    assert max(most) <= 3
    assert len(most) == 16


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:2"])
def test_what_nobody_has_is_refused(executor):
    """Where limits do not name a resource, or allow too little, nothing runs, and the fix is told."""
    with Flow("test") as flow:
        task(lambda: 1, name="train", resources={"GPU": 2})()
    with pytest.raises(ExecutorError, match=r"'train' needs 2 GPU.*limits=\{'GPU': 2\}"):
        flow.run(executor=executor)
    with pytest.raises(ExecutorError, match="limits allow 1"):
        flow.run(executor=executor, limits={"GPU": 1})
    assert flow.run(executor=executor, limits={"GPU": 2}).is_successful()


def test_flows_tell_what_tasks_need():
    """It is in the serialized flow, and copies have it."""
    train = task(lambda: 1, name="train", resources={"GPU": 1})
    with Flow("test") as flow:
        train()
        train(task_args={"resources": {"TPU": 2}})
        task(lambda: 1, name="plain")()
    told = [each.get("resources") for each in flow.serialize()["tasks"]]
    assert sorted(map(str, told)) == ["None", "{'GPU': 1}", "{'TPU': 2}"]


@pytest.mark.parametrize("wrong", [{"GPU": 0}, {"": 1}, {"GPU": 1.5}, "GPU"])
def test_what_makes_no_sense(wrong):
    """Amounts are whole numbers from 1, by name."""
    with pytest.raises((TypeError, ValueError), match="resources"):
        task(lambda: 1, resources=wrong)


def test_dask_workers_that_have_it():
    """A task runs on a worker that has what it needs; what none has is refused, with the fix."""
    with LocalCluster(
        n_workers=1, threads_per_worker=2, resources={"GPU": 1}, dashboard_address=":0"
    ) as cluster:
        executor = DaskExecutor(cluster.scheduler_address)

        @task(resources={"GPU": 1})
        def alone(x):
            begun = time.monotonic()
            time.sleep(0.05)
            return begun, time.monotonic(), os.getpid()

        with Flow("test") as flow:
            many = alone.map([1, 2, 3])
            last = task(lambda xs: len(xs), name="count")(many)  # noqa: PLW0108
        state = flow.run(executor=executor)
        assert state.result[last].result == 3
        spans = sorted(state.result[many].result)
        assert all(ended <= begun for (_, ended, _), (begun, *_) in pairwise(spans))
        with Flow("test") as flow:
            task(lambda: 1, name="train", resources={"GPU": 2})()
        with pytest.raises(ExecutorError, match=r"dask worker --resources GPU=2"):
            flow.run(executor=executor)

"""What tasks need of what there is little of."""

import os
import threading
import time
from itertools import pairwise

import pytest
from dask_cluster import Cluster
from distributed import LocalCluster
from observing import until, when_running, when_told

from prefect import Flow, task, triggers
from prefect.engine.executors import DaskExecutor
from prefect.engine.state import Failed
from prefect.environments import PickleEnvironment
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


@pytest.fixture
def cluster(tmp_path):
    """A scheduler, one worker that has a GPU, and one that has none."""
    cluster = Cluster(tmp_path)
    cluster.worker(name="with", resources={"GPU": 1})
    cluster.worker(name="without", resources={"disk": 1})
    cluster.wait_for_workers(2)
    yield cluster
    cluster.end()


def _lost(cluster, directory):
    """A flow whose only worker with a GPU dies before the task that needs it; and how to end that."""
    left = directory / "left"

    @task(resources={"disk": 1})
    def waits():
        until(left.exists)

    with Flow("test") as flow:
        first = waits()
        train = task(lambda: 1, name="train", resources={"GPU": 1})(upstream_tasks=[first])
        after = task(lambda: 2, name="after", trigger=triggers.all_finished)(upstream_tasks=[train])

    def leave():
        worker = cluster.processes[1]
        worker.kill()
        with cluster.client() as client:
            assert until(lambda: len(client.scheduler_info()["workers"]) == 1)
        left.touch()

    return flow, train, after, when_running(flow, first, leave)


def test_a_dask_worker_that_has_it_and_leaves(cluster, tmp_path, caplog):
    """What waits for it is told in seconds, and has failed after `worker_timeout`, with the fix; others go on."""
    flow, train, after, observe = _lost(cluster, tmp_path)
    executor = DaskExecutor(cluster.address, worker_timeout=9)
    result = flow.run(executor=executor, on_state=observe).result
    assert type(result[train]) is Failed
    assert "has had no worker with GPU=1" in result[train].message
    assert "--resources 'GPU=1'" in result[train].message
    assert result[after].result == 2
    assert "has no worker with GPU=1 any more" in caplog.text


def test_a_dask_worker_that_has_it_and_comes_back(cluster, tmp_path):
    """What has waited for it runs there."""
    flow, train, after, observe = _lost(cluster, tmp_path)
    with when_told("has no worker with GPU=1", lambda: cluster.worker(resources={"GPU": 1})):
        result = flow.run(executor=DaskExecutor(cluster.address), on_state=observe).result
    assert (result[train].result, result[after].result) == (1, 2)


def test_sealed_flows_on_dask(cluster):
    """A packaged flow takes resources and limits along, and both hold on a cluster."""
    with Flow("test", limits={"db": 1}) as flow:
        task(lambda x: x, name="query", tags=["db"]).map([1, 2, 3])
        train = task(lambda xs: sum(xs), name="train", resources={"GPU": 1})  # noqa: PLW0108
        train([1, 2])
    environment = PickleEnvironment()
    environment.build(flow)
    running, most = set(), []

    def observe(event):
        if event.task_name == "query" and event.map_index is not None:
            (running.add if event.state.is_running() else running.discard)(event.map_index)
            most.append(len(running))

    state = environment.run(executor=DaskExecutor(cluster.address), on_state=observe)
    assert state.is_successful(), state.message
    assert max(most) == 1
    with pytest.raises(ExecutorError, match=r"'train' needs 1 GPU"):
        environment.run(executor="threads:2")


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
        for limits in (None, {"GPU": 2}):  # which give no worker more than it has
            with pytest.raises(ExecutorError, match=r"no worker .*dask worker --resources GPU=2"):
                flow.run(executor=executor, limits=limits)
        with Flow("test") as flow:
            task(lambda: 1, name="train", resources={"TPU": 2})()
        with pytest.raises(ExecutorError, match=r"limits=\{'TPU': 2\}.*dask worker --resources"):
            flow.run(executor=executor)
        # where no worker tells of it, limits do, as in processes here
        state = flow.run(executor=executor, limits={"TPU": 2}, timeout=60)
        assert state.is_successful(), state

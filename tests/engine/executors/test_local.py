"""LocalExecutor."""

import threading

from prefect import Flow, task
from prefect.engine.executors import LocalExecutor


def test_this_thread():
    """Tasks run in the thread that runs the flow."""

    @task
    def ident():
        return threading.get_ident()

    with Flow("test") as flow:
        t = ident()
    assert flow.run(executor=LocalExecutor()).result[t].result == threading.get_ident()
    assert repr(LocalExecutor()) == "LocalExecutor()"


def test_shared_by_nested_runs():
    """One executor may serve a run within a run."""
    executor = LocalExecutor()
    with Flow("inner") as inner:
        a = task(lambda: 1)()
    with Flow("outer") as outer:
        b = task(lambda: inner.run(executor=executor).result[a].result)()
        c = task(lambda x: x + 1)(b)
    assert outer.run(executor=executor).result[c].result == 2

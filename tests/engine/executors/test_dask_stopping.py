"""Runs on Dask clusters that are to end before their tasks have: real processes, real signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dask_cluster import Cluster
from observing import until

from prefect import Flow, task, unmapped
from prefect.engine.executors import DaskExecutor
from prefect.engine.state import Cancelled, Success

LONG = 60
_HERE = Path(__file__).parent
PATHS = [str(_HERE), str(_HERE.parents[1] / "support"), str(_HERE.parents[2])]
"""Where workers find what is defined here, as scripts and pytest call it."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of one worker with two threads, for all tests here."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.worker(f"sys.path[:0] = {PATHS}", threads=2)
    cluster.wait_for_workers(1)
    yield cluster
    cluster.end()


@pytest.fixture
def executor(cluster):
    """An executor that connects to the cluster."""
    return DaskExecutor(cluster.address)


@task
def marks(path, seconds=LONG, pause=0.01, timeout=None):
    """Begin a file, write to it for a while, and note how that ended."""
    file = Path(path)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            with file.open("a") as out:
                out.write(".")
            time.sleep(pause)
    finally:
        with file.open("a") as out:
            out.write("ended")


def _exists(path):
    return until(path.exists)


def _stays(path):
    """Whether nobody writes to a file any more."""
    before = path.stat().st_size
    time.sleep(0.3)
    return path.stat().st_size == before


def _cut_off(flow, executor, number, exist):
    """End a run, as Ctrl-C does, when so many children of its tasks have begun; return its state."""
    running = []

    def observe(event):
        if event.map_index is not None and event.state.is_running():
            running.append(event)
            if len(running) == number:
                assert until(lambda: sum(path.exists() for path in exist) == number)
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        flow.run(executor=executor, on_state=observe)
    assert type(caught.value.state) is Cancelled
    return caught.value.state


@pytest.mark.parametrize("settings", [{}, {"timeout": 10 * LONG}], ids=["plain", "with a timeout"])
def test_what_runs_is_interrupted_and_what_waits_is_dropped(executor, tmp_path, settings):
    """When the run is cut off, nothing has effects after it has returned, and `finally` is run."""
    files = [tmp_path / str(number) for number in range(6)]
    with Flow("test") as flow:
        done = task(lambda: 3, name="done")()
        many = marks.map([str(file) for file in files], upstream_tasks=[unmapped(done)],
                         task_args=settings)  # fmt: skip
    state = _cut_off(flow, executor, number=2, exist=files)
    assert state.result[done].result == 3
    assert "2 were running and 4 had not started" in state.message
    assert {type(each) for each in state.result[many].map_states} == {Cancelled}
    begun = [file for file in files if file.exists()]
    assert len(begun) == 2
    assert all(file.read_text().endswith(".ended") for file in begun)
    time.sleep(0.3)
    assert [file for file in files if file.exists()] == begun


def test_a_run_that_takes_too_long(executor, tmp_path):
    """It is Cancelled, and what runs has ended."""
    file = tmp_path / "file"
    with Flow("test") as flow:
        marks(str(file))
    assert type(flow.run(executor=executor, timeout=5)) is Cancelled
    assert not file.exists() or (file.read_text().endswith("ended") and _stays(file))


def test_the_cluster_is_as_good_as_new(executor, tmp_path):
    """After a run that was cut off the next one gets all threads."""
    cut, files = tmp_path / "cut", [tmp_path / "one", tmp_path / "two"]

    @task
    def meets(own, other):
        Path(own).touch()
        return _exists(Path(other))

    with Flow("test") as flow:
        marks.map([str(cut)] * 4)
    _cut_off(flow, executor, number=2, exist=[cut, cut])
    with Flow("test") as flow:
        both = [meets(str(own), str(other)) for own, other in (files, files[::-1])]
    result = flow.run(executor=executor).result
    assert [result[each].result for each in both] == [True, True]


def test_tasks_that_cannot_be_interrupted_give_up_their_places(executor, tmp_path, caplog):
    """What waits outside of Python goes on, which is said; the next run has its threads."""
    begun = [tmp_path / "one", tmp_path / "two"]

    @task
    def waits(path):
        Path(path).touch()
        time.sleep(LONG)
        Path(path).write_text("ended")

    with Flow("test") as flow:
        waits.map([str(path) for path in begun])
    _cut_off(flow, executor, number=2, exist=begun)
    assert "2 tasks on the Dask cluster have not ended" in caplog.text
    with Flow("test") as flow:
        next_one = task(lambda: 1, name="next")()
    assert type(flow.run(executor=executor).result[next_one]) is Success
    assert not any(path.read_text() for path in begun)


SCRIPT = """
import signal
from test_dask_stopping import marks
from prefect import Flow
from prefect.engine.executors import DaskExecutor
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start their jobs without it
if __name__ == "__main__":
    with Flow("test") as flow:
        marks.map({files!r})
    flow.run(executor=DaskExecutor({address!r}, cluster_kwargs={settings!r}))
"""


def _started(tmp_path, files, address, settings):
    script = tmp_path / "script.py"
    names = [str(file) for file in files]
    script.write_text(SCRIPT.format(files=names, address=address, settings=settings))
    return subprocess.Popen(
        [sys.executable, script], stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": ":".join(PATHS)},
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_tasks_end_with_the_process_that_runs_the_flow(cluster, tmp_path, number):
    """By Ctrl-C, or when it is killed: what runs on somebody else's cluster is interrupted."""
    files = [tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "d"]
    process = _started(tmp_path, files, cluster.address, None)
    assert all(_exists(file) for file in files[:2])
    process.send_signal(number)
    error = process.communicate(timeout=LONG)[1].decode()
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in error
    else:
        assert until(lambda: all(f.read_text().endswith("ended") for f in files[:2]))
    assert all(file.read_text().endswith("ended") for file in files[:2])
    assert all(_stays(file) for file in files[:2])
    assert not any(file.exists() for file in files[2:])


def test_ctrl_c_at_a_terminal(tmp_path):
    """It reaches the cluster's own processes, too, where one was made for the run: all end, and none hangs."""
    files = [tmp_path / "a", tmp_path / "b"]
    settings = {"n_workers": 2, "threads_per_worker": 1}
    process = _started(tmp_path, files, None, settings)
    assert all(_exists(file) for file in files)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=LONG)[1].decode()
    assert "KeyboardInterrupt" in error
    assert "Dask Worker process" not in error
    assert all(file.read_text().endswith("ended") for file in files)
    assert all(_stays(file) for file in files)


@pytest.mark.parametrize("settings", [{}, {"timeout": LONG}], ids=["plain", "with a timeout"])
def test_flows_within_tasks_do_not_wait_for_each_other(cluster, executor, settings):
    """Three tasks that each run a flow on the same two threads, on which that flow runs three tasks."""
    address = cluster.address

    @task(**settings)
    def outer(number):
        with Flow("inner") as inner:
            found = task(lambda x: x + 1, name="inc").map([number, 10, 20])
        return inner.run(executor=DaskExecutor(address)).result[found].result

    with Flow("outer") as flow:
        all_of_them = outer.map([1, 2, 3])
    state = flow.run(executor=executor, timeout=2 * LONG)
    assert state.result[all_of_them].result == [[2, 11, 21], [3, 11, 21], [4, 11, 21]]


def test_flows_within_tasks_end_with_the_one_outside(cluster, executor, tmp_path):
    """What runs for the inner flow is interrupted, too."""
    address, file = cluster.address, tmp_path / "inner"

    @task
    def outer(_):
        with Flow("inner") as inner:
            marks(str(file))
        inner.run(executor=DaskExecutor(address))

    with Flow("outer") as flow:
        outer.map([1])
    _cut_off(flow, executor, number=1, exist=[file])
    assert until(lambda: file.read_text().endswith("ended"))
    assert _stays(file)

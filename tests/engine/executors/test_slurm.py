"""DaskExecutor on a real Slurm, by dask-jobqueue."""

import os
import time
from pathlib import Path

import pytest
from observing import when_running
from slurm_cluster import slurm as running_slurm

from prefect import Flow, task
from prefect.engine.executors import DaskExecutor
from prefect.engine.state import Failed

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def slurm():
    """A Slurm of one node with four processors."""
    with running_slurm() as slurm:
        yield slurm


def executor_on(directory, **settings):
    job = {
        "cores": 1, "processes": 1, "memory": "500MB", "interface": "lo", "walltime": "00:10:00",
        "scheduler_options": {"dashboard_address": ":0"}, "log_directory": str(directory / "logs"), "local_directory": str(directory),
    }  # fmt: skip
    workers = settings.pop("workers", 0)
    given = {**job, "n_workers": workers, **settings.pop("job", {})}
    return DaskExecutor(
        cluster_class="dask_jobqueue.SLURMCluster", cluster_kwargs=given, **settings
    )


@task
def where(x):
    time.sleep(0.2)
    return x, os.environ.get("SLURM_JOB_ID"), os.getpid()


def until_none_is_left(slurm):
    deadline = time.monotonic() + 60
    while slurm.jobs():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_tasks_run_in_jobs(slurm, tmp_path):
    """Each worker is a job of Slurm; none is left after the run."""
    with Flow("test") as flow:
        places = where.map(list(range(8)))
    state = flow.run(executor=executor_on(tmp_path, workers=2))
    assert state.is_successful(), state.message
    numbers, jobs, processes = zip(*state.result[places].result, strict=True)
    assert numbers == tuple(range(8))
    assert all(jobs)
    assert os.getpid() not in processes
    until_none_is_left(slurm)


def test_jobs_as_there_is_work(slurm, tmp_path):
    """With `adapt` a cluster without jobs gets some for the run."""
    with Flow("test") as flow:
        places = where.map(list(range(4)))
    executor = executor_on(tmp_path, adapt={"maximum": 2, "interval": "200ms"})
    state = flow.run(executor=executor)
    assert all(job for _, job, _ in state.result[places].result)
    until_none_is_left(slurm)


def test_a_job_that_is_cancelled(slurm, tmp_path):
    """Whoever cancels the job of a worker fails the task that ran there, which is said; the run ends."""
    began, known = tmp_path / "began", tmp_path / "known"

    @task
    def cancelled():
        with began.open("a") as file:
            file.write("once\n")
        for _ in range(3000):
            if known.exists():
                break
            time.sleep(0.02)
        os.execvp("scancel", ["scancel", "--signal=KILL", "--full", os.environ["SLURM_JOB_ID"]])

    with Flow("test") as flow:
        bad = cancelled()
    executor = executor_on(tmp_path, workers=1, worker_timeout=6)
    state = flow.run(executor=executor, on_state=when_running(flow, bad, known.touch))
    assert type(state.result[bad]) is Failed
    assert Path(began).read_text() == "once\n"
    until_none_is_left(slurm)


def test_jobs_that_never_start(slurm, tmp_path, caplog):
    """What Slurm cannot give is waited for as long as `worker_timeout` says, and then told."""
    with Flow("test") as flow:
        never = where(1)
    job = {"job_extra_directives": ["--begin=now+1hour"]}
    state = flow.run(executor=executor_on(tmp_path, workers=1, worker_timeout=6, job=job))
    assert type(state.result[never]) is Failed
    assert "look why the cluster starts none" in state.result[never].message
    assert "has no workers" in caplog.text
    until_none_is_left(slurm)

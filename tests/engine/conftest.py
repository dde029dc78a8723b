"""Executors to run the same tests under."""

import pytest
from dask_cluster import cluster_of

from prefect.engine.executors import (
    DaskExecutor,
    LocalExecutor,
    ProcessExecutor,
    ThreadExecutor,
)


@pytest.fixture(scope="session")
def dask_address(tmp_path_factory):
    """The address of a cluster of two processes, each with two threads."""
    with cluster_of(2, tmp_path_factory.mktemp("dask"), threads=2) as cluster:
        yield cluster.address


EXECUTORS = {
    "local": lambda request: LocalExecutor(),
    "threads": lambda request: ThreadExecutor(max_workers=3),
    "processes": lambda request: ProcessExecutor(2),
    "dask": lambda request: DaskExecutor(request.getfixturevalue("dask_address")),
}


@pytest.fixture(params=EXECUTORS)
def executor(request):
    """Each executor."""
    return EXECUTORS[request.param](request)

"""Executors to run the same tests under."""

import pytest

from prefect.engine.executors import LocalExecutor, ProcessExecutor, ThreadExecutor


@pytest.fixture(params=["local", "threads", "processes"])
def executor(request):
    """Each executor of this process."""
    return {
        "local": LocalExecutor(),
        "threads": ThreadExecutor(max_workers=3),
        "processes": ProcessExecutor(2),
    }[request.param]

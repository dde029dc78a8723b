"""A flow's own executor, as it travels with the flow."""

import threading

import pytest

from prefect import Flow, task
from prefect.engine.executors import DaskExecutor, Executor, ThreadExecutor
from prefect.errors import FormatError, PicklingError
from prefect.payload.difference import differences
from prefect.payload.loading import load_flow
from prefect.payload.manifest import Manifest
from prefect.payload.packing import pickle_flow


@task
def thread():
    return threading.current_thread().name


def packaged(executor):
    with Flow("carries", executor=executor) as flow:
        thread()
    return pickle_flow(flow)


@pytest.mark.parametrize("executor", ["threads:2", ThreadExecutor(2)])
def test_it_is_in_the_manifest_and_a_run_of_what_was_loaded_takes_it(executor):
    """As text, whatever it was given as."""
    made = packaged(executor)
    assert made.manifest.flow["executor"] == "threads:2"
    flow = load_flow(made.manifest, made.payload)
    assert flow.executor == "threads:2"
    state = flow.run()
    assert [each.result for each in state.result.values()] == ["prefect-task"]


def test_one_that_text_cannot_say_is_refused_when_the_flow_is_packaged():
    """It runs here, and can be drawn; what would travel would be another."""

    class Own(Executor):
        """Somebody's."""

    for executor in (DaskExecutor(cluster_class=dict), Own()):
        with Flow("carries", executor=executor) as flow:
            thread()
        assert "executor" not in flow.serialize()
        with pytest.raises(PicklingError, match="cannot travel"):
            pickle_flow(flow)
    with pytest.raises(PicklingError, match="credentials") as caught:
        packaged(DaskExecutor("tcp://me:hunter22@host:1"))
    assert "hunter22" not in str(caught.value)


def test_a_flow_on_dask_requires_it():
    """In the version that is here."""
    assert packaged("dask").manifest.requirements["distributed"].startswith("distributed==")
    assert packaged("threads").manifest.requirements == {}


def test_a_manifest_says_what_changed_and_is_checked():
    """One without it is another flow's; one that is no text is refused."""
    plain, threads = packaged(None).manifest, packaged("threads").manifest
    assert "executor" not in plain.flow
    assert [(c.part, c.name, c.after) for c in differences(plain, threads)] == [
        ("flow", "executor", "threads")
    ]
    threads.flow["executor"] = 8
    with pytest.raises(FormatError, match="executor is no text"):
        Manifest.from_json(threads.to_json())

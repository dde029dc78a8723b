"""The text form of executors: what commands are given, artifacts say, and flows carry."""

import threading

import pytest

from prefect import Flow, task
from prefect.engine.executors import DaskExecutor, Executor, LocalExecutor, ThreadExecutor
from prefect.engine.executors.text import parse_executor

ADDRESS = "tcp://10.0.0.5:8786"


@task
def thread():
    return threading.current_thread().name


@pytest.mark.parametrize(
    ("text", "kind", "normal"),
    [
        ("local", LocalExecutor, "local"),
        ("threads", ThreadExecutor, "threads"),
        ("threads:08", ThreadExecutor, "threads:8"),
        ("dask", DaskExecutor, "dask"),
        (ADDRESS, DaskExecutor, f"dask:{ADDRESS}"),
        (f"dask:{ADDRESS}", DaskExecutor, f"dask:{ADDRESS}"),
        ("tls://[::1]:8786", DaskExecutor, "dask:tls://[::1]:8786"),
    ],
)
def test_a_text_makes_an_executor_which_has_that_text(text, kind, normal):
    """Nothing is started for it; each executor has one spelling."""
    made = parse_executor(text)
    assert type(made) is kind
    assert made.text() == normal
    assert Flow("carries", executor=text).executor == normal


@pytest.mark.parametrize(
    "text",
    ["", "cloud", "Threads", "threads:", "threads:0", "threads:-1", "threads:1e3", "threads:99999999",
     "threads:\u0661", "local:1", "dask:8", "dask:", "://", "tcp://", "tcp://a b", "t p://a:1"],
)  # fmt: skip
def test_what_is_no_executor_is_refused_by_its_text(text):
    """The message says what there is."""
    with pytest.raises(ValueError, match=r"threads|tcp://HOST"):
        parse_executor(text)
    with pytest.raises(ValueError, match=r"threads|tcp://HOST"):
        Flow("odd", executor=text)


@pytest.mark.parametrize(
    "text", ["tcp://me:hunter22@host:1", "dask:ws://hunter22@host", "ws://host/?token=hunter22"]
)
def test_credentials_in_an_address_are_refused_and_not_repeated(text):
    """They would travel with the flow."""
    with pytest.raises(ValueError, match="credentials") as caught:
        parse_executor(text)
    assert "hunter22" not in str(caught.value)


def test_what_text_cannot_say_has_none():
    """A cluster class, arguments, and an executor that somebody else wrote."""
    assert DaskExecutor(cluster_class=dict).text() is None
    assert DaskExecutor(ADDRESS, client_kwargs={"timeout": 5}).text() is None
    assert Executor().text() is None


def test_a_flow_runs_where_it_says_unless_it_is_told_otherwise():
    """An executor or its text, of the flow or of the run."""
    for executor in ("threads:2", ThreadExecutor(2)):
        with Flow("carries", executor=executor) as flow:
            name = thread()
        assert flow.run().result[name].result == "prefect-task"
        assert flow.copy().run().result[name].result == "prefect-task"
        for other in ("local", LocalExecutor()):
            assert flow.run(executor=other).result[name].result != "prefect-task"


@pytest.mark.parametrize("executor", [ThreadExecutor, 8, object()])
def test_what_is_no_executor_is_refused_by_a_flow_and_by_a_run(executor):
    """A class, a number, anything else."""
    with pytest.raises(TypeError, match="is not an executor"):
        Flow("odd", executor=executor)
    with pytest.raises(TypeError, match="is not an executor"):
        Flow("odd").run(executor=executor)

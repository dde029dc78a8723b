"""Arguments of tasks that classic Prefect had."""

from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

import prefect
from prefect import Flow, task
from prefect.engine.results import (
    AzureResult,
    ConstantResult,
    GCSResult,
    LocalResult,
    PrefectResult,
    S3Result,
    SecretResult,
)
from prefect.engine.state import Failed, Success


@pytest.mark.parametrize(
    "given",
    [
        {"cache_validator": lambda *_: True},
        {"target": "{task_name}.txt"},
    ],
)
def test_what_is_about_results_is_taken_with_a_warning(given):
    """It is kept, and the warning stands at the caller's line: it has no meaning here."""
    (name,) = given
    with pytest.warns(UserWarning, match=f"has {name}, which has no meaning here") as warned:
        made = task(lambda: 1, name="t", **given)
    assert warned[0].filename == __file__
    assert getattr(made, name) == given[name]
    with pytest.warns(UserWarning, match=name), Flow("f"):
        assert getattr(task(lambda: 1)(task_args=given), name) == given[name]


@pytest.mark.parametrize(
    ("given", "where", "unused"),
    [
        ("runs/", "runs/", None),
        (Path("/a"), "/a", None),
        (LocalResult(dir="/a"), "/a", None),
        (LocalResult("/a", validate_dir=False), "/a", None),
        (S3Result(bucket="b"), "s3://b", None),
        (S3Result("b", boto3_kwargs={}), "s3://b", "boto3_kwargs"),
        (GCSResult("b", location="x.txt"), "gs://b", "location"),
        (AzureResult(container="c", connection_string="x"), "az://c", "connection_string"),
        (LocalResult(), None, "without a place"),
        (PrefectResult(), None, "without a place"),
    ],
)
def test_a_task_says_where_its_results_are_stored(given, where, unused):
    """By a directory, a URL or an object of classic Prefect's, of which what has no meaning is said."""
    with pytest.warns(UserWarning, match=unused) if unused else nullcontext():
        made = task(lambda: 1, name="t", result=given)
    assert made.stored_in == where
    assert made.checkpoint is None


def test_a_result_that_is_never_stored_is_not():
    """A secret's, and a constant."""
    for given in (SecretResult(None), ConstantResult(value=1)):
        assert task(lambda: 1, result=given).checkpoint is False


def test_a_flow_says_where_the_results_of_its_tasks_are_stored():
    """In the same ways; that none is stored is for each task to say."""
    assert Flow("f").stored_in is None
    assert Flow("f", result=Path("/a")).stored_in == "/a"
    assert Flow("f", result=S3Result("b")).stored_in == "s3://b"
    with pytest.warns(UserWarning, match="Flow 'f' has result=GCSResult.* with location"):
        assert Flow("f", result=GCSResult("b", location="x.txt")).stored_in == "gs://b"
    for given in (SecretResult(None), PrefectResult()):
        with pytest.warns(UserWarning, match="Flow 'f' has result="):
            assert Flow("f", result=given).stored_in is None


def test_a_result_that_is_no_place_is_refused():
    """The error says what can be given."""
    for wrong in (object(), 5, LocalResult):
        with pytest.raises(TypeError, match="result is a directory, a URL, or a Result"):
            task(lambda: 1, result=wrong)
        with pytest.raises(TypeError, match="result is a directory, a URL, or a Result"):
            Flow("f", result=wrong)


def test_whether_a_result_may_be_taken_is_said_in_several_ways():
    """A task is cached if it is asked for, or if how long or by what is said; not without being stored."""
    assert not task(lambda: 1).caches
    assert not task(lambda: 1, cache=False).caches
    assert not task(lambda: 1, checkpoint=False).caches
    assert task(lambda: 1, cache=True).caches
    assert task(lambda: 1, cache_for=timedelta(hours=1)).caches
    assert task(lambda: 1, cache_key="k").caches
    with pytest.warns(UserWarning, match="not to be stored, beside what caches it"):
        assert not task(lambda: 1, cache=True, checkpoint=False).caches
    for wrong in ({"cache_for": 5}, {"cache_for": timedelta()}, {"cache_key": 5}, {"cache": 1}):
        with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
            task(lambda: 1, **wrong)
    with pytest.raises(ValueError, match="cache_for and cache=False"):
        task(lambda: 1, cache=False, cache_for=timedelta(1))


@pytest.mark.parametrize(
    ("retry_on", "tries"), [(KeyError, 1), ((OSError, ValueError), 3), (None, 3)]
)
def test_only_some_errors_are_tried_again(retry_on, tries):
    """`retry_on` has the exceptions after which a task is tried again; by default all are."""
    seen = []

    @task(max_retries=2, retry_on=retry_on)
    def fails():
        seen.append(prefect.context.task_run_count)
        raise ValueError

    with Flow("f") as flow:
        fails()
    assert isinstance(flow.run(), Failed)
    assert seen == list(range(1, tries + 1))


@pytest.mark.parametrize("wrong", [3, [int], "KeyError"])
def test_retry_on_takes_exceptions(wrong):
    """Anything else is refused when the task is made."""
    with pytest.raises(TypeError, match="retry_on is"):
        task(lambda: 1, max_retries=1, retry_on=wrong)


def test_retry_on_needs_retries():
    """Without any, nothing would be tried again, and nobody would say so."""
    with pytest.raises(ValueError, match="retry_on but no max_retries"):
        task(lambda: 1, retry_on=KeyError)


def test_a_run_of_a_task_has_its_own_name():
    """A template of the inputs and of the context, or a function of both, names it."""

    @task(task_run_name="{flow_name}: {x}")
    def named(x):
        return prefect.context.task_run_name

    with Flow("f") as flow:
        names = named.map([1, 2])
    assert flow.run().result[names].result == ["f: 1", "f: 2"]
    with pytest.raises(TypeError, match="task_run_name is a template"):
        task(lambda: 1, task_run_name=3)


def test_tasks_of_an_earlier_release_have_none_of_them():
    """What was pickled before there were these arguments runs as it did."""
    old = task(lambda: 1, name="old")
    assert not {"retry_on", "task_run_name", "result"} & set(old.__dict__)
    with Flow("f") as flow:
        old.bind()
    assert isinstance(flow.run(), Success)

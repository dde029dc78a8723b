"""`prefect.payload.description`: what is read of a flow that anybody may have described."""

import json
from datetime import timedelta

import pytest
from edits import edits

from prefect import Flow, Parameter, task
from prefect.core import drawing
from prefect.environments import ContainerEnvironment
from prefect.errors import FormatError
from prefect.payload.manifest import Manifest
from prefect.schedules import CronSchedule


@task(
    max_retries=2, retry_delay=timedelta(seconds=3), timeout=9, tags=["slow"], resources={"GPU": 1},
    at_most_once=True, log_stdout=True, cache_for=timedelta(1), cache_key="k", retry_on=OSError,
    result="/r", task_run_name="n", on_failure=print,
)  # fmt: skip
def double(x):
    return 2 * x


@task
def total(xs):
    return sum(xs)


@pytest.fixture(scope="module")
def manifest():
    """Of a flow with all that a description can have."""
    environment = ContainerEnvironment("python:3.11", secrets=["TOKEN"])
    with Flow("rich", environment=environment, executor="threads:8", limits={"slow": 2},
              schedule=CronSchedule("0 6 * * *"), result="/r", on_failure=print) as flow:  # fmt: skip
        sizes = Parameter("sizes", default=[1, {"a": None}])
        last = total(double.map(sizes))
        flow.add_edge(Parameter("odd", default={1, 2}), last)
    flow.set_reference_tasks([last])
    return json.loads(Manifest.describe(flow.serialize(), {"numpy": "numpy==2.0"}).to_json())


def test_each_single_edit_is_refused_or_can_be_shown(manifest):
    """What is read can be drawn in every form: nothing else has to check it again."""
    read, refused = 0, []
    for where, text in edits(manifest):
        try:
            found = Manifest.from_json(text.encode())
        except FormatError as error:
            refused.append(str(error))
            continue
        read += 1
        for draw in (drawing.to_text, drawing.to_mermaid, drawing.to_dot):
            assert "".join(draw(found.flow).split("\n")).isprintable(), where
        assert Manifest.from_json(found.to_json()) == found, where
    assert read > 100
    assert len(refused) > 1000
    assert all(message.isprintable() for message in refused)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda flow: flow["reference_tasks"].append("nobody"), r"reference_tasks\[1\] names no"),
        (lambda flow: flow["edges"][0].update(upstream="nobody"), r"edges\[0\]\.upstream names no"),
        (
            lambda flow: flow["edges"][0].update(downstream=flow["edges"][0]["upstream"]),
            "leads back",
        ),
        (lambda flow: flow["tasks"].append(flow["tasks"][0]), "another task's as well"),
        (lambda flow: flow["tasks"][0].update(timeout=True), r"tasks\[0\]\.timeout"),
        (lambda flow: flow["tasks"][0].update(retry_delay=-1), "no number of seconds"),
        (lambda flow: flow["parameters"].append(flow["parameters"][0]), "another parameter's"),
        (lambda flow: flow.update(schema=2), "Upgrade prefect"),
        (lambda flow: flow.update(executor=8), "executor is no text"),
        (lambda flow: flow.update(limits={"db": True}), "limits is no object of whole numbers"),
        (lambda flow: flow["schedule"]["clocks"][0].pop("cron"), "schedule cannot be read"),
        (lambda flow: flow["tasks"][0].update(cache_for=-1), r"tasks\[0\]\.cache_for"),
    ],
)
def test_what_is_wrong_is_named(manifest, change, says):
    """The message says where in the description, and for a newer one what to do."""
    edited = json.loads(json.dumps(manifest))
    change(edited["flow"])
    with pytest.raises(FormatError, match=says):
        Manifest.from_json(json.dumps(edited).encode())


def test_not_a_number_is_no_json():
    """Python's json reads NaN and Infinity, which no manifest has."""
    with pytest.raises(FormatError, match="not JSON"):
        Manifest.from_json(b'{"format": NaN}')

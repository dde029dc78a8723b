"""`prefect.telemetry.run`: what OpenTelemetry is told of a run."""

import json
import os
import subprocess
import sys

import pytest
from telemetry_flow import FLOW

IN_MEMORY = """
import json, sys
from flow_file import flow
from prefect import context, task
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))
ACT
told = [
    {
        "name": span.name,
        "id": f"{span.context.span_id:016x}",
        "parent": span.parent and f"{span.parent.span_id:016x}",
        "trace": f"{span.context.trace_id:032x}",
        "attributes": dict(span.attributes),
        "status": span.status.status_code.name,
        "description": span.status.description,
        "events": [[each.name, dict(each.attributes)] for each in span.events],
        "took": span.end_time - span.start_time,
    }
    for span in spans.get_finished_spans()
]
data = reader.get_metrics_data()
points = [
    [metric.name, dict(point.attributes), getattr(point, "count", None) or point.value]
    for resource in (data.resource_metrics if data else ())
    for scope in resource.scope_metrics
    for metric in scope.metrics
    for point in metric.data.data_points
]
print(json.dumps([told, points]), file=sys.stderr)
"""


def in_memory(tmp_path, act, **environment):
    """Run a program that has providers of its own; return the spans by name, and the metrics."""
    (tmp_path / "flow_file.py").write_text(FLOW)
    (tmp_path / "program.py").write_text(IN_MEMORY.replace("ACT", act))
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    spans, points = json.loads(done.stderr.splitlines()[-1])
    named = {"told": json.loads(done.stdout)} if done.stdout.startswith("[[") else {}
    for span in spans:
        named.setdefault(span["name"], []).append(span)
    return named, points


def test_a_run_is_a_trace(tmp_path):
    """The run has a span, below it each task, below a mapped one each try at a child; the rest is not told."""
    spans, points = in_memory(tmp_path, "flow.run(telemetry=True)")
    [run] = spans.pop("tell <me>")
    assert run["parent"] is None
    assert run["status"] == "ERROR"
    assert run["attributes"]["prefect.flow.state"] == "Failed"
    assert {span["trace"] for each in spans.values() for span in each} == {run["trace"]}
    assert spans.keys() == {"numbers", "flaky", "fails", "after"}
    [mapped] = [s for s in spans["flaky"] if "prefect.task.children" in s["attributes"]]
    assert mapped["parent"] == run["id"]
    children = [span for span in spans["flaky"] if span["parent"] == mapped["id"]]
    seen = [(s["attributes"]["prefect.task.map_index"], s["attributes"]["prefect.task.try"],
             s["attributes"]["prefect.task.state"], s["status"]) for s in children]  # fmt: skip
    assert sorted(seen) == [
        (0, 1, "Success", "UNSET"),
        (1, 1, "Retrying", "ERROR"),
        (1, 2, "Success", "UNSET"),
        (2, 1, "Success", "UNSET"),
    ]
    [failed] = spans["fails"]
    [[name, event]] = failed["events"]
    assert name == "exception"
    assert (event["exception.type"], event["exception.message"]) == ("ValueError", "as asked")
    assert "in fails" in event["exception.stacktrace"]
    [unrun] = spans["after"]
    assert unrun["attributes"]["prefect.task.state"] == "TriggerFailed"
    assert unrun["took"] == 0
    counted = {(n, a["prefect.task.name"], a["prefect.task.state"]): c
               for n, a, c in points if "prefect.task.name" in a}  # fmt: skip
    assert counted["prefect.task.runs", "flaky", "Success"] == 3
    assert counted["prefect.task.run.duration", "flaky", "Retrying"] == 1
    assert counted["prefect.task.runs", "after", "TriggerFailed"] == 1
    assert ("prefect.task.runs", "flaky", "Retrying") not in counted
    [[_, attributes, runs]] = [p for p in points if p[0] == "prefect.flow.run.duration"]
    assert (attributes["prefect.flow.state"], runs) == ("Failed", 1)


OWN_SPANS = """
from prefect import Flow
tracer = trace.get_tracer("mine")

@task
def instrumented(x):
    with tracer.start_as_current_span(f"own {x}"):
        return context.traceparent

with Flow("outer") as flow:
    instrumented.map([1, 2])
state = flow.run(telemetry=True, executor=EXECUTOR)
assert trace.get_current_span().get_span_context().is_valid is False
"""


@pytest.mark.parametrize("executor", ["local", "threads:2"])
def test_spans_of_instrumented_code_are_below_the_task(tmp_path, executor):
    """In tasks of this process the task's span is the current one; afterwards none is."""
    spans, _ = in_memory(tmp_path, OWN_SPANS.replace("EXECUTOR", repr(executor)))
    for number in (1, 2):
        [own] = spans[f"own {number}"]
        [task] = [s for s in spans["instrumented"] if s["id"] == own["parent"]]
        assert task["attributes"]["prefect.task.map_index"] == number - 1


WORKERS_SPANS = """
import asyncio
from prefect import Flow

def own_span(name):
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    with TracerProvider().get_tracer("mine").start_as_current_span(name) as span:
        return f"{span.parent.span_id:016x}", context.traceparent

@task(max_retries=1)
def plain(x):
    if x == 1 and context.task_run_count == 1:
        raise ConnectionError("again")
    return own_span("own")

@task
async def waits(x):
    await asyncio.sleep(0)
    return own_span("own")

with Flow("outer") as outer:
    told = [plain.map([0, 1]), waits(1)]
if __name__ == "__main__":
    state = outer.run(telemetry=True, executor=EXECUTOR, results="all")
    found = [*state.result[told[0]].result, state.result[told[1]].result]
    print(json.dumps(found))
"""


@pytest.mark.parametrize("executor", ["local", "threads:2", "processes:1", "dask"])
def test_spans_of_instrumented_code_are_below_the_task_in_every_process(tmp_path, executor):
    """Also below the second try, and below an async task; prefect.context.traceparent names the same span."""
    act = WORKERS_SPANS.replace("EXECUTOR", repr(executor))
    spans, _ = in_memory(tmp_path, act)
    [run] = spans["outer"]
    tries = {
        (
            s["name"],
            s["attributes"].get("prefect.task.map_index"),
            s["attributes"]["prefect.task.try"],
        ): s
        for s in spans["plain"] + spans["waits"]
        if "prefect.task.children" not in s["attributes"]
    }
    expected = [tries[key] for key in (("plain", 0, 1), ("plain", 1, 2), ("waits", None, 1))]
    told = [[own, traceparent.rpartition("-")[0]] for own, traceparent in spans["told"]]
    assert told == [[span["id"], f"00-{run['trace']}-{span['id']}"] for span in expected]


ONE_TRY = """
from datetime import timedelta
from prefect import Flow
from prefect.engine import signals
from prefect.utilities.tasks import pause_task

seen = []

@task
def pauses():
    seen.append(context.traceparent)
    pause_task(duration=timedelta(0))

@task(state_handlers=[lambda task, old, new: new])
def loops():
    seen.append(context.traceparent)
    if context.get("task_loop_count", 1) < 3:
        raise signals.LOOP()

with Flow("of one try") as flow:
    loops(upstream_tasks=[pauses()])
flow.run(telemetry=True)
print(json.dumps([seen]))
"""


def test_a_try_that_is_paused_or_loops_has_one_span(tmp_path):
    """The tasks know it, each time that they begin."""
    spans, _ = in_memory(tmp_path, ONE_TRY)
    (seen,) = spans["told"]
    (paused,), (looped,) = spans["pauses"], spans["loops"]
    known = [each.split("-")[2] for each in seen]
    assert known == [paused["id"]] * 2 + [looped["id"]] * 3
    assert looped["attributes"]["prefect.task.try"] == 1


TRIED_BEFORE = """
from prefect import Flow
from prefect.engine.state import Retrying, Running

events = []

@task(max_retries=5)
def again():
    if context.task_run_count == 4:
        raise ConnectionError("again")
    return context.traceparent

with Flow("outer") as outer:
    told = again()
if __name__ == "__main__":
    state = outer.run(
        telemetry=True, executor=EXECUTOR, task_states={told: Retrying(run_count=3)},
        on_state=lambda e: events.append(e.run_count) if isinstance(e.state, Running) else None,
    )
    print(json.dumps([[state.result[told].result, events]]))
"""


@pytest.mark.parametrize("executor", ["local", "processes:1"])
def test_tries_before_the_run_count(tmp_path, executor):
    """A task that is begun with a state of an earlier run knows its span."""
    spans, _ = in_memory(tmp_path, TRIED_BEFORE.replace("EXECUTOR", repr(executor)))
    ((traceparent, events),) = spans["told"]
    assert [each["attributes"]["prefect.task.try"] for each in spans["again"]] == [4, 5] == events
    assert traceparent.split("-")[2] == spans["again"][1]["id"]


def test_a_run_within_a_task_elsewhere_is_below_its_span(tmp_path):
    """And a run that is given a span by prefect.context is below that; its own tasks have no spans of those numbers."""
    act = """
from prefect import Flow

@task
def nested():
    return context.traceparent

with Flow("outer") as outer:
    told = nested()
assert outer.run(telemetry=True).result[told].result.split("-")[2] == f"{spans.get_finished_spans()[0].context.span_id:016x}"
spans.clear()
state = outer.run(telemetry=True, executor="processes:1")
given = state.result[told].result
with context(traceparent=given):
    flow.run(telemetry=True)
    assert outer.run(executor="processes:1").result[told].result == given
"""
    spans, _ = in_memory(tmp_path, act)
    [task], [inner] = spans["nested"], spans["tell <me>"]
    assert inner["parent"] == task["id"]
    assert inner["trace"] == task["trace"]


def test_nothing_is_told_unless_it_is_asked_for(tmp_path):
    """Not even where a program has its providers; and nothing of OpenTelemetry is imported then."""
    spans, points = in_memory(tmp_path, "flow.run()")
    assert (spans, points) == ({}, [])
    program = "import sys; from flow_file import flow; flow.run(); sys.exit('opentelemetry' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)


OWN = """
import contextlib, io
from prefect.core.state import Failed

class Stale(Failed):
    pass

@task(state_handlers=[lambda task, old, new: Stale("old") if new.is_failed() else new])
def own():
    raise ValueError("why")

flow = type(flow)("own", tasks=[own])
with contextlib.redirect_stderr(io.StringIO()) as shown:
    flow.run(telemetry=True, progress=True, store="store")
assert "1 Failed" in shown.getvalue(), shown.getvalue()
"""


def test_a_state_of_ones_own_is_what_is_below_it(tmp_path):
    """To OpenTelemetry, to who watches the progress, and in the record: none of them knows it."""
    named, _ = in_memory(tmp_path, OWN)
    ((own,), (run,)) = named["own"][:1], named["own"][1:]
    assert (own["status"], own["attributes"]["prefect.task.state"]) == ("ERROR", "Failed")
    assert run["attributes"]["prefect.flow.state"] == "Failed"
    (record,) = (tmp_path / "store" / "runs").iterdir()
    states = [json.loads(line).get("state") for line in record.read_text().splitlines()]
    assert "Failed" in states
    assert "Stale" not in states

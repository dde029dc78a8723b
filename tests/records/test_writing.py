"""The record of a run while it is written."""

import json
import sys
import threading

from prefect.core import state_kinds
from prefect.core.state import Failed, Running, Success
from prefect.core.state_kinds import Cached
from prefect.engine.events import TaskEvent
from prefect.records import run
from prefect.records.writing import recorder


def test_no_line_is_lost_however_many_threads_write(tmp_path):
    """What comes while lines are written is written next, and each line stands by itself."""
    path = tmp_path / "record.jsonl"
    writer = recorder(str(path), lambda text: text)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def write(name):
        for index in range(3000):
            writer.on_state(TaskEvent(name, name, index, Success()))

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    writer.end("f", Success())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({(line["task"], line["map_index"]) for line in lines[:-1]}) == 12_000
    assert lines[-1]["event"] == "flow"


def test_a_task_that_takes_long_is_seen_to_run(tmp_path):
    """Its line comes while it runs; what is quick has one line alone, with its begin."""
    path = tmp_path / "record.jsonl"
    writer = recorder(str(path), lambda text: text)
    quick = TaskEvent("quick", "quick", None, Running())
    writer.on_state(quick)
    ended = TaskEvent("quick", "quick", None, Success())
    ended.time = quick.time + 0.001
    writer.on_state(ended)
    writer.on_state(TaskEvent("slow", "slow", None, Running()))
    for _ in range(600):
        if "Running" in path.read_text():
            break
        threading.Event().wait(0.05)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["task"], line["state"]) for line in lines] == [
        ("quick", "Success"),
        ("slow", "Running"),
    ]
    assert 0 <= lines[0]["time"] - lines[0]["started"] < 1
    writer.end("f", None)


def test_texts_of_any_characters_are_whole_in_each_line(tmp_path):
    """Also in lines of the usual form, which are put together piece by piece."""
    path = tmp_path / "record.jsonl"
    writer = recorder(str(path), lambda text: text)
    odd = 'a "quoted"\n\u2028 \\ name é'
    digest = f"sha256:{'0f' * 32}"
    for kind in (Success, Cached):
        for more in ({}, {"worker": odd}, {"worker": odd, "why": odd}):
            state = kind(None, 1)
            stored = {
                "digest": digest,
                "size": 7,
                "format": "json",
                "run": odd,
                "inputs": {odd: digest},
            }
            state.context.update(more, stored={**stored, "key": "k"})
            began = TaskEvent(odd, odd, 3, Running())
            began.time = 1796020837.25
            ended = TaskEvent(odd, odd, 3, state)
            ended.time = 1796020838.722986
            writer.on_state(began)
            writer.on_state(ended)
    writer.end("f", None)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 6
    for line in lines:
        assert line["task"] == odd
        assert line["map_index"] == 3
        assert line["started"] == 1796020837.25
        assert abs(line["time"] - 1796020838.722986) < 2e-6
        assert line["result"] == {"digest": digest, "size": 7, "format": "json", "run": odd}
        assert line["inputs"] == {odd: digest[:23]}
        assert line.get("worker", odd) == line.get("why", odd) == odd
    assert [line["state"] for line in lines] == ["Success"] * 3 + ["Cached"] * 3
    assert sum("worker" in line for line in lines) == 4
    assert sum("why" in line for line in lines) == 2


def test_a_task_is_seen_to_run_though_nothing_follows(tmp_path):
    """Also where lines were written just after it had begun."""
    path = tmp_path / "record.jsonl"
    writer = recorder(str(path), lambda text: text)
    slow = TaskEvent("slow", "slow", None, Running())
    slow.time += 0.3
    writer.on_state(slow)
    for _ in range(600):
        if "Running" in path.read_text():
            break
        threading.Event().wait(0.05)
    assert '"task":"slow","state":"Running"' in path.read_text()
    writer.end("f", None)


def test_secrets_are_masked_and_texts_are_bounded(tmp_path):
    """Messages and tracebacks go through the mask, and too long ones are cut."""
    path = tmp_path / "record.jsonl"
    writer = recorder(str(path), lambda text: text.replace("canary", "***"))
    writer.begin({"run": "r"})
    writer.on_state(TaskEvent("t", "t", None, Failed("the canary sang", ValueError("x" * 100_000))))
    writer.end("f", Failed("canary"))
    text = path.read_text()
    assert "canary" not in text
    assert "the *** sang" in text
    assert len(text) < 80_000


def test_failures_are_the_same_in_records_as_in_runs():
    """Who reads records has their names without the classes."""
    assert run.FAILED == state_kinds.FAILED == {"Failed", "TimedOut", "TriggerFailed", "ValidationFailed"}  # fmt: skip

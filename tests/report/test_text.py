"""`prefect.report.text`: a run for a terminal."""

from datetime import timedelta

import pytest

import records
from prefect import Flow, task
from prefect.core.labels import Labels
from prefect.core.picture import to_svg
from prefect.records.reading import read_record
from prefect.records.summary import states_of
from prefect.report.text import text
from prefect.utilities.tasks import pause_task


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a record's lines."""
    return lambda events: read_record(records.write(tmp_path / "r.jsonl", events))


def test_a_run_is_told_in_lines(read):
    """What became of it, of each task and when; the failure with its traceback."""
    shown = text(read(records.small()))
    assert shown.startswith("✗ nightly-sales: Failed after 23.1 s: Some reference tasks failed.\n")
    for part in (
        "Executor      threads:8", "Parameter     n = 12", "16 Success, 1 Cached, 1 Failed, 1 TriggerFailed, 2 tried again",
        "= extract ", "✓ train ", "\u00d712", "⊘ notify",
        "✗ publish: ConnectionError: database db-7", '      File "/home/ana/etl/etl.py", line 42, in load',
    ):  # fmt: skip
        assert part in shown
    (train,) = [line for line in shown.split("\n") if line.startswith("✓ train ")]
    assert "┈┈█" in train
    assert "dropped 312" not in shown
    assert "clean: dropped 312 of 48,120 rows" in text(read(records.small()), everything=True)


def test_a_large_run_is_told_in_part(read):
    """The rest is counted, and told where everything is asked for."""
    run = read(records.large(2_000))
    assert "more tasks: --all shows them" in text(run)
    assert len(text(run).split("\n")) < 300
    named = Labels(run.flow)
    assert all(named.of(slug) in text(run, everything=True) for slug in run.tasks)


def test_nothing_of_it_commands_a_terminal(read):
    """Whatever a record says, and wherever it breaks off."""
    lines = records.hostile()
    for end in range(1, len(lines) + 1):
        run = read(lines[:end])
        assert "".join(text(run, everything=True).split("\n")).isprintable()
        counts = {slug: states_of(task) for slug, task in run.tasks.items()}
        assert "".join(to_svg(run.flow, counts).split("\n")).isprintable()


def test_a_paused_task_is_shown_as_paused(tmp_path, monkeypatch):
    """Until it goes on; then each of its tries has ended."""

    @task
    def waits():
        pause_task("for the other team", timedelta(0))

    with Flow("test") as flow:
        waits()
    flow.run(store=tmp_path)
    (path,) = (tmp_path / "runs").iterdir()
    (one,) = read_record(path).tasks.values()
    assert [(each.state, each.ended is None) for each in one.tries] == [
        ("Paused", False),
        ("Success", False),
    ]
    lines = path.read_text().splitlines(keepends=True)
    (paused,) = (n for n, line in enumerate(lines) if '"state":"Paused"' in line)
    path.write_text("".join(lines[: paused + 1]))
    shown = text(read_record(path))
    assert "Tasks         1 Paused" in shown
    (line,) = (each for each in shown.splitlines() if each.startswith("‖ waits "))
    assert line.endswith("for the other team")

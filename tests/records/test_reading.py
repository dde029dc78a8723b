"""`prefect.records.reading`: what a run left, whole or torn, and what anybody may have made up."""

import io
import json

import pytest
from edits import edits
from hypothesis import given, settings
from hypothesis import strategies as st

import records
from prefect.errors import InputTooLargeError, RecordError
from prefect.records import reading
from prefect.records.reading import RecordReader, read_record
from prefect.records.run import Result

SMALL = records.small()
START = records.START


def read(events):
    """Read the lines of a record; texts are taken as they are."""
    lines = (each if isinstance(each, str) else json.dumps(each) for each in events)
    reader = RecordReader("a.jsonl")
    reader.read(io.BytesIO("".join(f"{line}\n" for line in lines).encode(errors="replace")))
    return reader.run()


def told(*events):
    """Read a record of two tasks, with these events."""
    described = records.flow(
        "f", [records.task("a-1"), records.task("b-1")], [("a-1", "b-1", None, True)]
    )
    return read([records.header(described), *events])


def task(state, time=1.0, slug="a-1", **more):
    """Return a line of a task."""
    return {"event": "task", "time": START + time, "task": slug, "state": state, **more}


def test_a_run_is_read_as_it_was(tmp_path):
    """Its header, each task's states and tries, results, reasons, logs and its end are there."""
    run = read_record(records.write(tmp_path / "r.jsonl", SMALL))
    assert (run.run, run.flow["name"]) == ("20251129-211530-nightly-sales-3f9a2c", "nightly-sales")
    assert (run.executor, run.place, run.pid) == ("threads:8", "here", 4711)
    assert run.versions["requirements"] == ["pandas==2.2.0"]
    assert run.parameters == {"n": 12, "source": "s3://sales/2025"}
    assert (run.state, run.message, run.ended) == (
        "Failed",
        "Some reference tasks failed.",
        SMALL[-1]["time"],
    )
    assert list(run.tasks) == [each["id"] for each in run.flow["tasks"]]
    assert run.tasks["extract-1"].state == "Cached"
    assert run.tasks["extract-1"].result == Result(f"sha256:{'b' * 64}", 120_345, "pickle")
    assert run.tasks["clean-1"].why.startswith("Ran: the source")
    assert run.tasks["publish-1"].traceback == records.FAILURE
    assert run.tasks["notify-1"].tries == ()
    assert [len(child.tries) for child in run.tasks["train-1"].children.values()] == [
        1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1,
    ]  # fmt: skip
    assert run.logs["train-1"][0].map_index is not None
    assert run.ignored == 0
    assert len(list(run.units())) == 21


def test_tries_follow_from_the_lines_in_their_order():
    """A Running line begins a try; Retrying, Looped and final states end it."""
    run = told(
        task("Running", 1, worker="w1"),
        task("Retrying", 2, message="OSError: x", traceback="T"),
        task("Running", 5, worker="w2", run_count=2),
        task("Success", 6),
    )
    one = run.tasks["a-1"]
    assert [(t.started - START, t.ended - START, t.state, t.worker, t.run_count) for t in one.tries] == [
        (1, 2, "Retrying", "w1", 1), (5, 6, "Success", "w2", 2),
    ]  # fmt: skip
    assert (one.tries[0].message, one.tries[0].traceback, one.traceback) == ("OSError: x", "T", "T")
    assert one.ended == START + 6


def test_a_short_try_may_have_one_line():
    """Its last line says when it began, and counts no second time where a Running line did."""
    one = told(
        task("Retrying", 2, started=START + 1, worker="w", message="x"), task("Success", 4, started=START + 3)
    ).tasks["a-1"]  # fmt: skip
    assert [(t.started - START, t.ended - START, t.state, t.worker, t.run_count) for t in one.tries] == [
        (1, 2, "Retrying", "w", 1), (3, 4, "Success", "", 2),
    ]  # fmt: skip
    assert (
        len(told(task("Running", 1), task("Success", 2, started=START + 1)).tasks["a-1"].tries) == 1
    )


def test_what_a_later_release_tells_is_no_mistake():
    """Events that this one does not know are passed by."""
    run = told({"event": "tomorrow"}, task("Success", new=1))
    assert (run.ignored, run.tasks["a-1"].state) == (0, "Success")


def test_a_run_that_goes_on_or_was_killed_has_no_end():
    """What runs has an open try, and the time of the last line is known."""
    run = told(task("Running", 4, "b-1", map_index=2))
    assert (run.ended, run.state, run.last) == (None, None, START + 4)
    assert run.tasks["b-1"].children[2].tries[0].ended is None


def test_children_belong_to_their_mapped_task():
    """A mapped task knows how many children it has, and those that have a state by their index."""
    run = told(
        task("Mapped", 1, "b-1", children=3), task("Running", 2, "b-1", map_index=1), task("Failed", 3, "b-1", map_index=1)
    )  # fmt: skip
    assert run.tasks["b-1"].child_count == 3
    assert {i: child.state for i, child in run.tasks["b-1"].children.items()} == {1: "Failed"}
    assert [(slug, index) for slug, index, _ in run.units()] == [("a-1", None), ("b-1", 1)]


def test_a_torn_last_line_is_left_out_and_read_when_it_is_whole(tmp_path):
    """A reader that is given the file again goes on where it was."""
    path = tmp_path / "r.jsonl"
    lines = [json.dumps(each) for each in SMALL]
    path.write_text("\n".join(lines[:5]) + "\n" + lines[5][:20])
    assert read_record(path).ignored == 0
    reader = RecordReader("r")
    with path.open("rb") as file:
        assert reader.read(file)
        assert not reader.read(file)
        with path.open("a") as more:
            more.write(lines[5][20:] + "\n" + "\n".join(lines[6:]) + "\n")
        assert reader.read(file)
    assert reader.run() == read_record(records.write(tmp_path / "whole.jsonl", SMALL))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "is empty"),
        (["no JSON"], "is no record of a run"),
        (["[]"], "is no record of a run"),
        ([{"event": "flow", "time": 1}], "is no record of a run"),
        ([SMALL[0] | {"version": 2}], "of version 2; this release"),
        ([SMALL[0] | {"run": "../../etc/passwd"}], "lacks the run's id or time"),
        ([SMALL[0] | {"time": -1}], "lacks the run's id or time"),
        ([SMALL[0] | {"flow": {"schema": 1}}], "description of the flow: name is missing"),
        (["[" * 100_000], "is no record of a run"),
    ],
)
def test_what_does_not_begin_as_a_record_is_an_error(lines, says):
    """The message names the file and what is wrong with it."""
    with pytest.raises(RecordError, match=says):
        read(lines)


@pytest.mark.parametrize(
    "line",
    [
        "", "no JSON", "[]", "{}", "[" * 100_000, '{"event": ["task"]}',
        task("Success", slug="nobody"), task("Success", slug=["a-1"]), task("Success") | {"time": "now"},
        task("Success") | {"time": True}, task("Success", -1e12), task("Success", 1e300), task("No state\n"),
        task(7), task("Success", map_index=-1), task("Success", map_index="0"), task("Success", map_index=True),
        '{"event": "task", "time": NaN, "task": "a-1", "state": "Success"}',
        '{"event": "task", "time": 1e999, "task": "a-1", "state": "Success"}',
        json.dumps(task("Success")) + " and more",
        {"event": "log", "time": 1, "message": 7}, {"event": "output", "time": 1, "stream": "x", "text": "y"},
        {"event": "flow", "time": 1, "state": None},
        SMALL[0],
    ],
)  # fmt: skip
def test_a_line_that_means_nothing_is_left_out(line):
    """It is counted, and the lines after it are read."""
    run = told(line, task("Success", 9))
    assert run.ignored == 1
    assert run.tasks["a-1"].state == "Success"
    assert run.tasks["a-1"].ended == START + 9


def test_numbers_that_json_lacks_become_text():
    """Python writes NaN into JSON: such a parameter is told, and no number."""
    line = json.dumps(
        records.header(records.flow("f", [], []), parameters={"x": float("nan"), "y": 10**30})
    )
    assert read([line]).parameters == {"x": "NaN", "y": str(10**30)}


def test_what_is_kept_is_bounded(monkeypatch):
    """Children, lines, tries and texts beyond the limits are left out, without an error."""
    monkeypatch.setattr(reading, "_MOST_CHILDREN", 2)
    monkeypatch.setattr(reading, "_MOST_LOGS", 2)
    monkeypatch.setattr(reading, "_MOST_TRIES", 2)
    monkeypatch.setattr(reading, "_LONGEST_TEXT", 100)
    many = [task("Running", map_index=i) for i in range(4)] + [task("Running", slug="b-1")] * 5
    logs = [{"event": "log", "time": START, "message": "m" * 1000, "logger": "l" * 1000}] * 5
    run = told(*many, *logs)
    assert (len(run.tasks["a-1"].children), len(run.tasks["b-1"].tries), len(run.logs[""])) == (
        2,
        2,
        2,
    )
    assert len(run.logs[""][0].message) < 110
    assert len(run.logs[""][0].logger) == 200


def test_a_record_without_an_end_is_not_read_for_ever(monkeypatch, tmp_path):
    """More bytes than any record has, and what is no file, are refused."""
    monkeypatch.setattr(reading, "LARGEST_RECORD", 10_000)
    with pytest.raises(InputTooLargeError, match="which no record of a run has"):
        read_record(records.write(tmp_path / "r.jsonl", SMALL))
    with pytest.raises(RecordError, match="is no file"):
        read_record(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none.jsonl")


def test_a_line_without_an_end_is_left_out(monkeypatch):
    """It is not held in memory, and what follows is read."""
    monkeypatch.setattr(reading, "_LONGEST_LINE", 2_000)
    run = told("x" * 5_000, task("Success"))
    assert run.tasks["a-1"].state == "Success"
    assert run.ignored > 0


def check(run):
    """Check the types of what was read, all the way down."""
    json.dumps([run.parameters, run.flow, run.versions], allow_nan=False)
    for _, _, one in run.units():
        for each in one.tries:
            assert type(each.started) is float
            assert each.ended is None or each.ended >= each.started
            assert type(each.run_count) is int
            assert all(
                type(text) is str
                for text in (each.state, each.worker, each.message, each.traceback)
            )
        assert one.ended is None or type(one.ended) is float
        assert all(type(text) is str for text in (one.state, one.message, one.traceback, one.why))
    for lines in run.logs.values():
        assert all(type(line.message) is str and type(line.level) is str for line in lines)
    for text in (run.executor, run.place, run.artifact, run.resumes, run.host):
        assert text is None or type(text) is str


def test_each_single_edit_is_refused_or_read():
    """Whatever one hand changes in a record, the reader raises its own error or gives checked values."""
    read_, refused = 0, 0
    few = [SMALL[0] | {"flow": records.flow("f", [records.task("a-1")], [])}, task("Running", worker="w"),
           task("Success", result=records.RESULT, why="w"), SMALL[-1] | {"time": START + 3}]  # fmt: skip
    for _, text in edits(few):
        try:
            check(read(json.loads(text)))
        except RecordError:
            refused += 1
        else:
            read_ += 1
    assert read_ > 500
    assert refused > 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(["event", "time", "task", "map_index", "state", "message", "children", "worker", "run_count",
                        "traceback", "result", "why", "level", "logger", "stream", "text"])  # fmt: skip
LINES = st.dictionaries(
    KEYS, JSON | st.sampled_from(["task", "log", "flow", "a-1", "Running", "Success", 3, 0])
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.binary(max_size=60) | st.builds(lambda line: json.dumps(line).encode(), LINES),
        max_size=12,
    )
)
def test_whatever_follows_a_header_is_read_or_left_out(lines):
    """No line raises, and what is read has the types that it promises."""
    reader = RecordReader("r")
    described = records.flow("f", [records.task("a-1")], [])
    data = b"\n".join([json.dumps(records.header(described)).encode(), *lines, b""])
    reader.read(io.BytesIO(data))
    check(reader.run())
